//! A span that has not ended.

use std::borrow::Cow;
use std::time::SystemTime;

use opentelemetry::trace::{Event, Link, SpanContext, SpanId, SpanKind, Status};
use opentelemetry::{InstrumentationScope, KeyValue, Value};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};

use super::names;

/// So many events a span holds, as the specification has it. The others are counted.
const MOST_EVENTS: usize = 128;

/// What is under way.
#[derive(Clone, Debug)]
pub(super) struct Open {
    context: SpanContext,
    parent: SpanId,
    is_remote: bool,
    kind: SpanKind,
    name: Cow<'static, str>,
    /// When it began. May be moved while it is open.
    pub(super) start: SystemTime,
    attributes: Vec<KeyValue>,
    events: SpanEvents,
    links: SpanLinks,
    failed: Option<Cow<'static, str>>,
}

impl Open {
    /// The span of a run.
    pub(super) fn root(
        (context, parent): (SpanContext, Option<SpanContext>),
        name: impl Into<Cow<'static, str>>,
        start: SystemTime,
    ) -> Self {
        Self {
            context,
            parent: parent.as_ref().map_or(SpanId::INVALID, SpanContext::span_id),
            is_remote: parent.is_some(),
            kind: SpanKind::Internal,
            name: name.into(),
            start,
            attributes: Vec::new(),
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            failed: None,
        }
    }

    /// A span below another one.
    pub(super) fn below(parent: &SpanContext, name: impl Into<Cow<'static, str>>, start: SystemTime) -> Self {
        let (id, state) = (SpanId::from_bytes(rand::random()), parent.trace_state().clone());
        let context = SpanContext::new(parent.trace_id(), id, parent.trace_flags(), false, state);
        Self { is_remote: false, ..Self::root((context, Some(parent.clone())), name, start) }
    }

    /// The same, as a call to another service.
    pub(super) fn calling(self) -> Self {
        Self { kind: SpanKind::Client, ..self }
    }

    pub(super) fn context(&self) -> &SpanContext {
        &self.context
    }

    /// Adds an attribute. Text from outside is made [`harmless`](crate::observe::words::harmless) first.
    pub(super) fn set(&mut self, key: &'static str, value: impl Into<Value>) {
        self.attributes.push(KeyValue::new(key, value));
    }

    /// The same for one that need not be there.
    pub(super) fn set_some(&mut self, key: &'static str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.set(key, value);
        }
    }

    /// Something happened meanwhile.
    pub(super) fn happens(&mut self, name: &'static str, at: SystemTime, attributes: Vec<KeyValue>) {
        if self.events.events.len() < MOST_EVENTS {
            self.events.events.push(Event::new(name, at, attributes, 0));
        } else {
            self.events.dropped_count = self.events.dropped_count.saturating_add(1);
        }
    }

    /// It has to do with another span.
    pub(super) fn link(&mut self, to: SpanContext, why: &'static str) {
        self.links.links.push(Link::new(to, vec![KeyValue::new("convoke.link", why)], 0));
    }

    /// It has failed so: a word of ours, never of a stranger.
    pub(super) fn fails(&mut self, kind: impl Into<Cow<'static, str>>) {
        let kind = kind.into();
        self.set(names::ERROR_TYPE, kind.clone().into_owned());
        self.failed = Some(kind);
    }

    /// It has ended.
    pub(super) fn ended(self, at: SystemTime, scope: &InstrumentationScope) -> SpanData {
        SpanData {
            span_context: self.context,
            parent_span_id: self.parent,
            parent_span_is_remote: self.is_remote,
            span_kind: self.kind,
            name: self.name,
            start_time: self.start,
            end_time: at.max(self.start),
            attributes: self.attributes,
            dropped_attributes_count: 0,
            events: self.events,
            links: self.links,
            status: self.failed.map_or(Status::Unset, |description| Status::Error { description }),
            instrumentation_scope: scope.clone(),
        }
    }
}
