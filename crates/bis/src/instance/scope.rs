//! The context of the code of a handler or an endpoint: its trace, the event that it handles, its service and its
//! deadline. It travels with the task, not with the thread: [`crate::spawn`] carries it to another one.

use std::{cell::RefCell, fmt, future::Future, time::SystemTime};

use bis_core::{EventId, ShortText, TraceContext};

use super::AnyIdentity;

tokio::task_local! {
    static CURRENT: RefCell<Scope>;
}

/// A place in a trace, as the header `traceparent` carries it (<https://www.w3.org/TR/trace-context/>).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    /// The trace; never zero.
    pub(crate) trace: u128,
    /// The span; never zero.
    pub(crate) span: u64,
    /// Whether the producer asks for the trace to be kept.
    pub(crate) sampled: bool,
}

impl Span {
    /// The first span of a new trace.
    pub(crate) fn root() -> Self {
        Self { trace: fastrand::u128(1..), span: fastrand::u64(1..), sampled: true }
    }

    /// A span under this one.
    pub(crate) fn child(self) -> Self {
        Self { span: fastrand::u64(1..), ..self }
    }

    /// The header's text, version `00`.
    pub(crate) fn traceparent(self) -> ShortText {
        let (mut trace, mut span) = ([0; 32], [0; 16]);
        let flags = if self.sampled { "-01" } else { "-00" };
        ShortText::concat(["00-", hex(&mut trace, self.trace), "-", hex(&mut span, self.span.into()), flags])
    }

    /// Reads the header's text; of a version above `00`, the part that every version begins with.
    pub(crate) fn parse(traceparent: &str) -> Option<Self> {
        let mut parts = traceparent.split('-');
        let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let sizes_fit = version.len() == 2 && trace.len() == 32 && span.len() == 16 && flags.len() == 2;
        if !sizes_fit || version == "ff" || (version == "00" && parts.next().is_some()) {
            return None;
        }
        u8::from_str_radix(version, 16).ok()?;
        let trace = u128::from_str_radix(trace, 16).ok().filter(|id| *id != 0)?;
        let span = u64::from_str_radix(span, 16).ok().filter(|id| *id != 0)?;
        let sampled = u8::from_str_radix(flags, 16).ok()? & 1 == 1;
        Some(Self { trace, span, sampled })
    }
}

/// The number's last hexadecimal digits, as many as there is room for.
fn hex(room: &mut [u8], mut number: u128) -> &str {
    for place in room.iter_mut().rev() {
        *place = b"0123456789abcdef"[(number & 0xf) as usize];
        number >>= 4;
    }
    std::str::from_utf8(room).expect("digits are text")
}

/// What surrounds the running code.
#[derive(Debug, Clone)]
pub(crate) struct Scope {
    /// The span of the handler's run or of the request.
    pub(crate) span: Span,
    /// The trace state that came along, handed on as it is.
    pub(crate) tracestate: Option<String>,
    /// The event that is being handled.
    pub(crate) cause: Option<EventId>,
    /// Who asked for what is being done.
    pub(crate) identity: Option<AnyIdentity>,
    /// Which attempt at the event this is, from 1; of a batch, at its first event.
    pub(crate) attempt: Option<u32>,
    /// The service that the handler belongs to.
    pub(crate) service: Option<&'static str>,
    /// The path, as declared, of the endpoint that answers a request.
    pub(crate) route: Option<&'static str>,
    /// The function of the endpoint or mount that answers a request.
    pub(crate) endpoint: Option<&'static str>,
    /// The function that the app calls by itself.
    pub(crate) function: Option<&'static str>,
    /// When the caller stops waiting.
    pub(crate) deadline: Option<SystemTime>,
    /// The run that virtual time accounts for, when time is virtual.
    pub(crate) activity: Option<u64>,
    /// Whether nobody waits for it, so that virtual time does not move for it.
    pub(crate) is_background: bool,
}

impl Scope {
    /// A scope in the trace that came along, or in a new one.
    pub(crate) fn continuing(parent: Option<&TraceContext>) -> Self {
        let span = parent.and_then(|context| Span::parse(&context.traceparent));
        Self {
            span: span.map_or_else(Span::root, Span::child),
            tracestate: span.and_then(|_| parent?.tracestate.clone()),
            cause: None,
            identity: None,
            attempt: None,
            service: None,
            route: None,
            endpoint: None,
            function: None,
            deadline: None,
            activity: None,
            is_background: false,
        }
    }

    /// The scope of the running task, if it has one.
    pub(crate) fn current() -> Option<Self> {
        CURRENT.try_with(|scope| scope.borrow().clone()).ok()
    }

    /// Looks at the scope of the running task without copying it.
    pub(crate) fn with<R>(look: impl FnOnce(Option<&Self>) -> R) -> R {
        let mut look = Some(look);
        let mut call = |scope: Option<&Self>| look.take().map(|look| look(scope));
        let seen = CURRENT.try_with(|scope| call(Some(&scope.borrow()))).unwrap_or_else(|_| call(None));
        seen.expect("the scope is looked at once")
    }

    /// Changes the scope of the running task, for what comes to be known of it while it runs; says whether there is one.
    /// `change` must not log.
    pub(crate) fn update(change: impl FnOnce(&mut Self)) -> bool {
        CURRENT.try_with(|scope| change(&mut scope.borrow_mut())).is_ok()
    }

    /// Writes what the running code belongs to, for a line of the log: the service, the endpoint with its route, the function or
    /// the event that it is busy with, and the trace.
    pub(crate) fn write_place(out: &mut dyn fmt::Write) -> fmt::Result {
        Self::with(|scope| {
            let Some(scope) = scope else { return Ok(()) };
            if let Some(service) = scope.service {
                write!(out, " service={service}")?;
            }
            if let Some(endpoint) = scope.endpoint {
                write!(out, " endpoint={endpoint}")?;
            }
            if let Some(function) = scope.function {
                write!(out, " function={function}")?;
            }
            if let Some(route) = scope.route {
                write!(out, " route={route}")?;
            }
            if let Some(event) = &scope.cause {
                write!(out, " event={}", event.shown())?;
            }
            write!(out, " trace_id={:032x}", scope.span.trace)
        })
    }

    /// Runs a future in this scope.
    pub(crate) async fn run<F: Future>(self, future: F) -> F::Output {
        CURRENT.scope(RefCell::new(self), future).await
    }

    /// Runs code in this scope.
    pub(crate) fn enter<R>(&self, code: impl FnOnce() -> R) -> R {
        CURRENT.sync_scope(RefCell::new(self.clone()), code)
    }

    /// The headers for what this scope sends out.
    pub(crate) fn trace_context(&self) -> TraceContext {
        TraceContext { traceparent: self.span.traceparent(), tracestate: self.tracestate.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_traceparent_is_read_as_it_was_written() {
        let span = Span::root();
        assert_eq!(Span::parse(&span.traceparent()), Some(span));
        let text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
        assert_eq!(Span::parse(text).unwrap().traceparent(), text);
        assert_eq!(span.child().trace, span.trace);
        assert_ne!(span.child().span, span.span);
    }

    #[test]
    fn what_the_standard_forbids_is_no_traceparent() {
        for bad in [
            "",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
            "00-xbf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert_eq!(Span::parse(bad), None, "{bad}");
        }
        assert!(Span::parse("01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-later").is_some());
    }

    #[test]
    fn outside_a_handler_there_is_no_scope() {
        assert!(Scope::current().is_none());
        assert!(Scope::with(|scope| scope.is_none()));
    }
}
