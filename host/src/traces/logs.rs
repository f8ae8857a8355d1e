//! Lines of a run's log, as records for a collector: each in the span that it is about.

use std::time::SystemTime;

use convoke_runtime::event::Event;
use jiff::Timestamp;
use opentelemetry::logs::{AnyValue, LogRecord, Logger, LoggerProvider, Severity};
use opentelemetry_sdk::logs::{SdkLogRecord, SdkLogger, SdkLoggerProvider};
use tracing::Level;

use super::send::Outlet;
use super::tree::Tree;
use crate::logs::lines::{Field, Line, Scribe};
use crate::logs::wants;

/// Makes records of what a run tells.
pub(super) struct Records {
    outlet: Outlet<SdkLogRecord>,
    /// Whether reasons are told.
    content: bool,
    scribe: Scribe,
    /// It makes records, and sends none.
    logger: SdkLogger,
}

impl Records {
    pub(super) fn new(outlet: Outlet<SdkLogRecord>, content: bool) -> Self {
        let logger = SdkLoggerProvider::builder().build().logger("convoke");
        Self { outlet, content, scribe: Scribe::default(), logger }
    }

    /// An event, which became one so long after `began`. `tree`: the spans, where they are told.
    pub(super) fn hear(&mut self, event: &Event, began: Timestamp, tree: Option<&Tree>) {
        let Some(line) = self.scribe.line(&event.fact) else { return };
        if wants(line.target(), line.level) {
            let at = SystemTime::from(began) + event.at;
            self.outlet.give(self.record(&line, at, tree));
        }
    }

    fn record(&self, line: &Line, at: SystemTime, tree: Option<&Tree>) -> SdkLogRecord {
        let mut record = self.logger.create_log_record();
        record.set_timestamp(at);
        record.set_observed_timestamp(at);
        record.set_target(line.target());
        let (number, text) = severity(line.level);
        record.set_severity_number(number);
        record.set_severity_text(text);
        record.set_body(AnyValue::from(line.message));
        record.add_attribute("convoke.run.id", self.scribe.run().to_owned());
        for (name, field) in line.said.fields(self.content) {
            let value = match field {
                Field::Text(text) => AnyValue::from(text),
                Field::Count(count) => AnyValue::from(i64::try_from(count).unwrap_or(i64::MAX)),
                Field::Number(number) => AnyValue::from(number),
            };
            record.add_attribute(name, value);
        }
        if let Some(context) = tree.and_then(|tree| tree.context(&line.said)) {
            record.set_trace_context(context.trace_id(), context.span_id(), Some(context.trace_flags()));
        }
        record
    }
}

fn severity(level: Level) -> (Severity, &'static str) {
    match level {
        Level::ERROR => (Severity::Error, "ERROR"),
        Level::WARN => (Severity::Warn, "WARN"),
        Level::INFO => (Severity::Info, "INFO"),
        Level::DEBUG => (Severity::Debug, "DEBUG"),
        Level::TRACE => (Severity::Trace, "TRACE"),
    }
}
