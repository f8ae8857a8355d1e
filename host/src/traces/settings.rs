//! What the environment says of traces and logs, by the standard variables of OpenTelemetry.

use std::collections::HashMap;
use std::time::Duration;

use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::{SpanContext, SpanKind, TraceContextExt, TraceFlags, TraceId, TraceState};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{Sampler, SamplingDecision, ShouldSample};
use reqwest::Url;

use super::names::{SERVICE_NAME, SERVICE_VERSION};

/// How long a request may take where nothing else is said.
const TIMEOUT: Duration = Duration::from_secs(10);

/// How long one may take at most.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(60);

/// What goes where.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    /// Where spans go; none: no traces are wanted.
    pub(super) spans: Option<Target>,
    /// Where lines of logs go; none: they are not wanted there.
    pub(super) logs: Option<Target>,
    /// What all of it has in common.
    pub(super) resource: Resource,
    /// In which trace a run stands.
    pub(super) trace: Trace,
    /// What of the environment is not as it should be, in words for the user. No value of a variable that can hold a
    /// credential is in them.
    pub(super) notes: Vec<String>,
}

/// Where something is posted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// The address.
    pub(super) endpoint: Url,
    /// How long one request may take.
    pub(super) timeout: Duration,
}

/// In which trace a run stands, and whether it is told.
#[derive(Clone, Debug)]
pub(super) struct Trace {
    /// The span that has started this process, if it is in one.
    parent: Option<SpanContext>,
    sampler: Sampler,
}

/// What can be sent.
struct Signal {
    /// As variables have it.
    name: &'static str,
    /// As people have it.
    what: &'static str,
    /// Below a common address.
    path: &'static str,
    /// Whether a common address is enough: many a collector takes traces alone.
    unasked: bool,
}

const TRACES: Signal = Signal { name: "TRACES", what: "traces", path: "v1/traces", unasked: true };
const LOGS: Signal = Signal { name: "LOGS", what: "logs", path: "v1/logs", unasked: false };

impl Settings {
    /// What the environment says.
    pub(super) fn of(env: &impl Fn(&str) -> Option<String>) -> Self {
        let set = |name: &str| env(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
        let mut notes = Vec::new();
        let mut target = |signal: &Signal| {
            target(signal, &set, &mut notes).unwrap_or_else(|said| {
                notes.push(format!("no {} are sent: {said}", signal.what));
                None
            })
        };
        let (spans, logs) = (target(&TRACES), target(&LOGS));
        let mut sampler = Sampler::ParentBased(Box::new(Sampler::AlwaysOn));
        if spans.is_some() {
            match named(set("OTEL_TRACES_SAMPLER").as_deref(), set("OTEL_TRACES_SAMPLER_ARG").as_deref()) {
                Ok(named) => sampler = named,
                Err(said) => notes.push(said),
            }
        }
        let trace = Trace { parent: parent(set("TRACEPARENT"), set("TRACESTATE")), sampler };
        Self { spans, logs, resource: resource(&set), trace, notes }
    }
}

/// Where a signal goes; none: it is not wanted. The error says why it can't go there.
fn target(
    signal: &Signal,
    set: &impl Fn(&str) -> Option<String>,
    notes: &mut Vec<String>,
) -> Result<Option<Target>, String> {
    let general = |what: &str| format!("OTEL_EXPORTER_OTLP_{what}");
    let special = |what: &str| format!("OTEL_EXPORTER_OTLP_{}_{what}", signal.name);
    let either = |what: &str| {
        [special(what), general(what)].into_iter().find_map(|variable| set(&variable).map(|value| (variable, value)))
    };
    let Some((variable, endpoint)) = either("ENDPOINT") else { return Ok(None) };
    if set("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        return Ok(None);
    }
    let chosen = format!("OTEL_{}_EXPORTER", signal.name);
    match set(&chosen) {
        None if signal.unasked || variable == special("ENDPOINT") => {}
        None => return Ok(None),
        Some(names) if names.split(',').any(|name| name.trim() == "otlp") => {}
        Some(name) if name == "none" => return Ok(None),
        Some(name) => return Err(format!("{chosen} is {name:?}, and only `otlp` and `none` are known here")),
    }
    if let Some((variable, protocol)) = either("PROTOCOL")
        && protocol != "http/protobuf"
    {
        return Err(format!(
            "{variable} is {protocol:?}, and only `http/protobuf` is spoken here; set {}=http/protobuf, and the endpoint to \
             the collector's HTTP port, often 4318",
            special("PROTOCOL")
        ));
    }
    // It is not shown: it can hold a password.
    let wrong = || format!("{variable} is no URL with http or https");
    let mut endpoint = Url::parse(&endpoint).map_err(|_| wrong())?;
    if !matches!(endpoint.scheme(), "http" | "https") || !endpoint.has_host() {
        return Err(wrong());
    }
    if variable == general("ENDPOINT") {
        let path = format!("{}/{}", endpoint.path().trim_end_matches('/'), signal.path);
        endpoint.set_path(&path);
    }
    let timeout = match either("TIMEOUT").map(|(variable, value)| (variable, value.parse::<u64>(), value)) {
        None => TIMEOUT,
        Some((_, Ok(ms), _)) => Duration::from_millis(ms).clamp(Duration::from_millis(1), LONGEST_TIMEOUT),
        Some((variable, Err(_), value)) => {
            notes.push(format!("{variable} is {value:?}, and not a number of milliseconds: 10000 is taken"));
            TIMEOUT
        }
    };
    Ok(Some(Target { endpoint, timeout }))
}

impl Trace {
    /// The context of the run's span: a new trace by the run's id where it goes on in none, and its parent otherwise.
    pub(super) fn root(&self, run: &str, continued: bool, span: [u8; 8]) -> (SpanContext, Option<SpanContext>) {
        let id = match &self.parent {
            Some(parent) => parent.trace_id(),
            None => of_run(run).filter(|_| !continued).unwrap_or_else(|| TraceId::from_bytes(rand::random())),
        };
        let around = self.parent.as_ref().map(|parent| Context::new().with_remote_span_context(parent.clone()));
        let sampled = self.sampler.should_sample(around.as_ref(), id, "run", &SpanKind::Internal, &[], &[]);
        let flags = TraceFlags::default().with_sampled(sampled.decision == SamplingDecision::RecordAndSample);
        let state = self.parent.as_ref().map_or_else(TraceState::default, |parent| parent.trace_state().clone());
        (SpanContext::new(id, span.into_id(), flags, false, state), self.parent.clone())
    }

    /// One of its own, always told.
    #[cfg(test)]
    pub(super) fn alone() -> Self {
        Self { parent: None, sampler: Sampler::AlwaysOn }
    }
}

trait IntoId {
    fn into_id(self) -> opentelemetry::trace::SpanId;
}

impl IntoId for [u8; 8] {
    fn into_id(self) -> opentelemetry::trace::SpanId {
        opentelemetry::trace::SpanId::from_bytes(self)
    }
}

/// The id of a run, as the id of a trace: 32 digits without the lines between them.
fn of_run(run: &str) -> Option<TraceId> {
    let digits: String = run.chars().filter(|digit| *digit != '-').collect();
    (digits.len() == 32).then(|| TraceId::from_hex(&digits).ok()).flatten().filter(|id| *id != TraceId::INVALID)
}

fn parent(traceparent: Option<String>, tracestate: Option<String>) -> Option<SpanContext> {
    let mut headers = HashMap::from([("traceparent".to_owned(), traceparent?)]);
    headers.extend(tracestate.map(|state| ("tracestate".to_owned(), state)));
    let context = TraceContextPropagator::new().extract_with_context(&Context::new(), &headers);
    let parent = context.span().span_context().clone();
    parent.is_valid().then_some(parent)
}

fn named(name: Option<&str>, argument: Option<&str>) -> Result<Sampler, String> {
    let ratio = || match argument.map_or(Ok(1.0), str::parse::<f64>) {
        Ok(ratio) if (0.0..=1.0).contains(&ratio) => Ok(Sampler::TraceIdRatioBased(ratio)),
        _ => Err(format!("OTEL_TRACES_SAMPLER_ARG is {:?}, and not a share from 0 to 1: all is traced", argument)),
    };
    let by_parent = |otherwise| Sampler::ParentBased(Box::new(otherwise));
    Ok(match name.unwrap_or("parentbased_always_on") {
        "always_on" => Sampler::AlwaysOn,
        "always_off" => Sampler::AlwaysOff,
        "traceidratio" => ratio()?,
        "parentbased_always_on" => by_parent(Sampler::AlwaysOn),
        "parentbased_always_off" => by_parent(Sampler::AlwaysOff),
        "parentbased_traceidratio" => by_parent(ratio()?),
        other => return Err(format!("OTEL_TRACES_SAMPLER is {other:?}, which is not known here: all is traced")),
    })
}

/// Who sends it. The user's names and attributes go before ours.
fn resource(set: &impl Fn(&str) -> Option<String>) -> Resource {
    let listed = set("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default();
    let named = |pair: &str| {
        let (key, value) = pair.split_once('=')?;
        Some(KeyValue::new(key.trim().to_owned(), decoded(value.trim())))
    };
    Resource::builder_empty()
        .with_attributes([
            KeyValue::new(SERVICE_NAME, "convoke"),
            KeyValue::new(SERVICE_VERSION, env!("CARGO_PKG_VERSION")),
            KeyValue::new("telemetry.sdk.name", "opentelemetry"),
            KeyValue::new("telemetry.sdk.language", "rust"),
        ])
        .with_attributes(listed.split(',').filter_map(named))
        .with_attributes(set("OTEL_SERVICE_NAME").map(|name| KeyValue::new(SERVICE_NAME, name)))
        .build()
}

/// A value as it is meant: what the list can't hold stands in it as `%2C`.
fn decoded(value: &str) -> String {
    let bytes = value.as_bytes();
    let (mut text, mut place) = (Vec::with_capacity(bytes.len()), 0);
    while place < bytes.len() {
        let digits = (bytes[place] == b'%').then(|| value.get(place + 1..place + 3)).flatten();
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                text.push(byte);
                place += 3;
            }
            None => {
                text.push(bytes[place]);
                place += 1;
            }
        }
    }
    String::from_utf8(text).unwrap_or_else(|_| value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(set: &[(&str, &str)]) -> Settings {
        Settings::of(&|name: &str| set.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()))
    }

    fn on(set: &[(&str, &str)]) -> Settings {
        let mut set = set.to_vec();
        set.push(("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318"));
        of(&set)
    }

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn traces_are_on_only_where_an_endpoint_is_set() {
        for off in [&[][..], &[("OTEL_EXPORTER_OTLP_ENDPOINT", " ")]] {
            let settings = of(off);
            assert!(settings.spans.is_none() && settings.logs.is_none() && settings.notes.is_empty(), "{settings:?}");
        }
        let endpoint = |name, value| of(&[(name, value)]).spans.unwrap().endpoint.to_string();
        assert_eq!(endpoint("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318"), "http://c:4318/v1/traces");
        assert_eq!(endpoint("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318/otlp/"), "http://c:4318/otlp/v1/traces");
        assert_eq!(endpoint("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://c/here"), "https://c/here");
        for off in [("OTEL_SDK_DISABLED", "TRUE"), ("OTEL_TRACES_EXPORTER", "none")] {
            assert!(on(&[off]).spans.is_none(), "{off:?}");
        }
    }

    #[test]
    fn logs_go_only_where_they_are_asked_for() {
        assert_eq!(on(&[]).logs, None, "many a collector takes traces alone");
        let asked = on(&[("OTEL_LOGS_EXPORTER", "otlp")]).logs.unwrap();
        assert_eq!(asked.endpoint.as_str(), "http://127.0.0.1:4318/v1/logs");
        let own = of(&[("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "http://c:4318/v1/logs")]);
        assert!(own.logs.is_some() && own.spans.is_none(), "{own:?}");
    }

    #[test]
    fn what_there_is_not_is_said_and_no_credential_with_it() {
        let said = on(&[("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")]).notes.join("; ");
        assert!(
            said.starts_with("no traces are sent: ") && said.contains("\"grpc\"") && said.contains("4318"),
            "{said}"
        );
        assert!(on(&[("OTEL_TRACES_EXPORTER", "zipkin")]).notes[0].contains("zipkin"));
        let said = of(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "ftp://me:secret@c")]).notes.join("; ");
        assert!(said.contains("OTEL_EXPORTER_OTLP_ENDPOINT") && !said.contains("secret"), "{said}");
        let odd = [("OTEL_EXPORTER_OTLP_TIMEOUT", "soon"), ("OTEL_TRACES_SAMPLER", "sometimes")];
        assert_eq!(on(&odd).notes.len(), 2, "{:?}", on(&odd).notes);
        let timeout = on(&[("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "2500")]).spans.unwrap().timeout;
        assert_eq!(timeout, Duration::from_millis(2_500));
    }

    #[test]
    fn the_trace_of_a_run_has_its_id_and_one_that_goes_on_has_another() {
        let run = "0199a7a2-0f3c-7b1e-8a51-8f3a9c01d2e4";
        let (context, parent) = on(&[]).trace.root(run, false, [1; 8]);
        assert_eq!(context.trace_id().to_string(), run.replace('-', ""));
        assert!(context.is_sampled() && parent.is_none());
        let (again, _) = on(&[]).trace.root(run, true, [1; 8]);
        assert_ne!(again.trace_id(), context.trace_id());
    }

    #[test]
    fn a_run_within_a_trace_goes_on_in_it_as_its_parent_wants() {
        let run = "0199a7a2-0f3c-7b1e-8a51-8f3a9c01d2e4";
        let trace = |set: &[(&str, &str)]| on(set).trace.root(run, false, [1; 8]);
        let (context, parent) = trace(&[("TRACEPARENT", PARENT), ("TRACESTATE", "vendor=x")]);
        assert_eq!(context.trace_id().to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(context.trace_state().header(), "vendor=x");
        assert_eq!(parent.expect("it has one").span_id().to_string(), "00f067aa0ba902b7");
        let unsampled = PARENT.replace("-01", "-00");
        assert!(!trace(&[("TRACEPARENT", &unsampled)]).0.is_sampled());
        assert!(trace(&[("TRACEPARENT", &unsampled), ("OTEL_TRACES_SAMPLER", "always_on")]).0.is_sampled());
        assert!(!trace(&[("OTEL_TRACES_SAMPLER", "traceidratio"), ("OTEL_TRACES_SAMPLER_ARG", "0")]).0.is_sampled());
        let (context, parent) = trace(&[("TRACEPARENT", "nonsense")]);
        assert!(parent.is_none() && context.is_sampled());
    }

    #[test]
    fn the_users_attributes_go_before_ours() {
        let value = |set: &[(&str, &str)], name: &'static str| {
            on(set).resource.get(&name.into()).map(|value| value.to_string())
        };
        assert_eq!(value(&[], "service.name").as_deref(), Some("convoke"));
        let listed = ("OTEL_RESOURCE_ATTRIBUTES", "service.name=nightly, team = a%2Cb");
        assert_eq!(value(&[listed], "service.name").as_deref(), Some("nightly"));
        assert_eq!(value(&[listed], "team").as_deref(), Some("a,b"));
        assert_eq!(value(&[listed, ("OTEL_SERVICE_NAME", "x")], "service.name").as_deref(), Some("x"));
    }
}
