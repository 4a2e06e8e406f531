//! The catalogue of codes: a constant for each, and its page, compiled in. A code is never given a second meaning.

macro_rules! codes {
    ($($(#[$doc:meta])* $CODE:ident = $code:literal;)*) => {
        $($(#[$doc])* pub const $CODE: &str = $code;)*

        /// Every code, in order.
        pub const ALL: &[&str] = &[$($code),*];

        /// The page of a code, in Markdown: what it means, the wrong program and the right one. Upper and lower case
        /// are the same.
        pub fn explain(code: &str) -> Option<&'static str> {
            $(if code.eq_ignore_ascii_case($code) {
                return Some(include_str!(concat!("codes/", $code, ".md")));
            })*
            None
        }
    };
}

codes! {
    /// A source file does not parse.
    SYNTAX_ERROR = "BIS0001";
    /// A Cargo.toml cannot be read.
    MANIFEST = "BIS0002";
    /// A module has no file.
    MISSING_MODULE = "BIS0003";
    /// A source file cannot be read.
    UNREADABLE_FILE = "BIS0004";
    /// Nothing calls `bis::app!`.
    NO_APP = "BIS0005";
    /// More than one app.
    MANY_APPS = "BIS0006";
    /// `app!` lists something that is not a service.
    NOT_A_SERVICE = "BIS0007";
    /// A service is not listed in `app!`.
    UNLISTED_SERVICE = "BIS0008";
    /// Two services in one module.
    TWO_SERVICES_IN_MODULE = "BIS0009";
    /// An app without services.
    EMPTY_APP = "BIS0010";
    /// Arguments in a form that the attribute does not have.
    ARGUMENTS = "BIS0011";
    /// An option that does not exist, or is given twice.
    UNKNOWN_OPTION = "BIS0012";
    /// A name that is not kebab-case.
    INVALID_NAME = "BIS0013";
    /// A duration that cannot be read.
    INVALID_DURATION = "BIS0014";
    /// A value out of its range.
    INVALID_VALUE = "BIS0015";
    /// A handler that cannot be called.
    HANDLER = "BIS0016";
    /// An HTTP method or path that cannot be served.
    ROUTE = "BIS0017";
    /// An `#[event]` attribute in the wrong place.
    EVENT_ATTRIBUTE = "BIS0018";
    /// Two services have one name.
    DUPLICATE_SERVICE = "BIS0021";
    /// Two resources of one kind have one name.
    DUPLICATE_RESOURCE = "BIS0022";
    /// Two subscriptions of a topic have one name.
    DUPLICATE_SUBSCRIPTION = "BIS0023";
    /// Two endpoints answer one method and path.
    DUPLICATE_ENDPOINT = "BIS0024";
    /// Nobody subscribes to a topic.
    UNHEARD_TOPIC = "BIS0025";
    /// Nobody publishes to a topic.
    UNPUBLISHED_TOPIC = "BIS0026";
    /// A handler takes another type than its topic's.
    HANDLER_TYPE = "BIS0027";
    /// Configuration that is not constant.
    NOT_CONSTANT = "BIS0028";
    /// A resource that is not a static of a module.
    NOT_A_MODULE_STATIC = "BIS0029";
    /// A path that leads to no resource.
    UNRESOLVED = "BIS0030";
    /// A reference to a resource is returned or stored.
    REFERENCE_ESCAPES = "BIS0031";
    /// A resource is used outside every service.
    USE_OUTSIDE_SERVICE = "BIS0032";
    /// A handler outside every service.
    HANDLER_OUTSIDE_SERVICE = "BIS0033";
    /// A field whose JSON cannot be seen from the source.
    OPAQUE_TYPE = "BIS0034";
    /// A schema that is not a JSON Schema.
    INVALID_SCHEMA = "BIS0035";
    /// Order by key on a broker that does not keep it.
    NO_ORDER = "BIS0041";
    /// A delay or a wait for a retry is longer than the broker's longest.
    DELAY_TOO_LONG = "BIS0042";
    /// A handler may run longer than the broker leaves an event with it.
    TIMEOUT_BEYOND_LEASE = "BIS0043";
    /// The broker forgets events when it is killed.
    NOT_DURABLE = "BIS0044";
    /// A retention is declared for a broker that cannot replay.
    NO_REPLAY = "BIS0045";
    /// Source that is nested too deeply to be read.
    TOO_DEEP = "BIS0050";
    /// A `cfg` that only the build knows.
    UNKNOWN_CFG = "BIS0051";
    /// An included file that is not known before the build.
    UNREAD_INCLUDE = "BIS0052";
    /// A macro call that may declare something and cannot be read.
    UNREAD_MACRO = "BIS0053";
    /// The graph and the program differ.
    OTHER_PROGRAM = "BIS0054";
    /// An ordered topic whose events have no key.
    ORDER_WITHOUT_KEY = "BIS0055";
    /// A key that is not text, number or boolean.
    KEY_NOT_SCALAR = "BIS0056";
    /// A code that does not exist is allowed, or `bis.toml` cannot be read.
    ALLOWANCE = "BIS0057";
    /// The number of path parameters that an endpoint takes is not that of its path.
    PATH_PARAMETERS = "BIS0080";
    /// Two paths that the router cannot tell apart.
    ROUTE_CONFLICT = "BIS0081";
}
