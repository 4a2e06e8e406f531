//! The codes of errors that a user of a running app can cause. An error ends with its code, as in `.. [BIS1002]`, and
//! `bis explain` prints the code's page. The pages are in the crate of the analyser's codes, so that no app links them. A code is
//! never given a second meaning.

macro_rules! codes {
    ($list:ident: $list_doc:literal; $($(#[$doc:meta])* $CODE:ident = $code:literal;)*) => {
        $($(#[$doc])* pub const $CODE: &str = $code;)*

        #[doc = $list_doc]
        pub const $list: &[&str] = &[$($code),*];
    };
}

codes! {
    ALL: "The codes that only a running app has, in order.";

    /// A topic is used on a thread without the app's runtime.
    NO_RUNTIME = "BIS1001";
    /// A topic is used before its app is started.
    NOT_STARTED = "BIS1002";
    /// The app is started inside another runtime.
    NESTED_RUNTIME = "BIS1003";
    /// The configuration cannot be read.
    CONFIG_UNREADABLE = "BIS1010";
    /// The configuration is not valid.
    CONFIG_INVALID = "BIS1011";
    /// A secret of the configuration is missing.
    SECRET = "BIS1012";
    /// The configuration names a service that the app does not have.
    UNKNOWN_SERVICE = "BIS1013";
    /// A called service has no address.
    NO_ADDRESS = "BIS1014";
    /// The app cannot listen on an address.
    LISTEN = "BIS1015";
    /// `BIS_CHAOS` cannot be used.
    CHAOS = "BIS1016";
    /// The broker cannot be used as it is configured.
    BROKER_MISCONFIGURED = "BIS1020";
    /// The broker refused a topic or a subscription.
    BROKER_REFUSED = "BIS1021";
    /// The broker cannot be reached.
    BROKER_UNREACHABLE = "BIS1022";
    /// The broker cannot do what a topic asks for.
    BROKER_UNABLE = "BIS1023";
    /// An event cannot be encoded.
    NOT_ENCODED = "BIS1030";
    /// An event is too large.
    TOO_LARGE = "BIS1031";
    /// An event does not decode.
    NOT_DECODED = "BIS1040";
    /// A message looks like a CloudEvent and is not a valid one.
    MALFORMED = "BIS1041";
    /// A handler did not finish within its timeout.
    TIMED_OUT = "BIS1042";
    /// An event crashed its process too often.
    CRASHED = "BIS1043";
    /// A called service does not answer.
    CALL_AWAY = "BIS1050";
    /// A call was not answered in time.
    CALL_LATE = "BIS1051";
    /// Another process refused a call.
    CALL_REFUSED = "BIS1052";
    /// A call's arguments or result cannot go to another process.
    CALL_CANNOT_TRAVEL = "BIS1053";
    /// An identity cannot travel.
    IDENTITY_NOT_SENT = "BIS1075";
    /// An identity that came along cannot be read.
    IDENTITY_NOT_READ = "BIS1076";
    /// A test publishes events endlessly.
    ENDLESS = "BIS1060";
    /// A test waits for something that does not come.
    HANGING = "BIS1061";
    /// A resource is used in a process that does not have it.
    RESOURCE_NOT_THERE = "BIS1062";
    /// A resource is not created.
    RESOURCE_FAILED = "BIS1063";
    /// Resources depend on each other in a cycle.
    RESOURCE_CYCLE = "BIS1064";
    /// The app is not ready in time.
    NOT_READY = "BIS1065";
    /// Layers cannot be made when the app starts.
    LAYER = "BIS1070";
    /// A layer created a new request and dropped the extensions of the original one.
    LAYER_LOSES_REQUEST = "BIS1071";
    /// An endpoint's timeout is longer than a request may take.
    ENDPOINT_TIMEOUT = "BIS1072";
    /// An event is not valid by its type's own rules.
    NOT_VALID = "BIS1080";
}

codes! {
    SHARED: "The codes of `bis check` that a running app has, too, since it finds the same mistake.";

    /// An app without services.
    NO_SERVICE = "BIS0010";
    /// A path that cannot be served.
    ROUTE = "BIS0017";
    /// Two services have one name.
    SAME_SERVICE = "BIS0021";
    /// Two topics have one name.
    SAME_TOPIC = "BIS0022";
    /// Two subscriptions of a topic have one name.
    SAME_SUBSCRIPTION = "BIS0023";
    /// Two endpoints answer one method and path.
    SAME_ENDPOINT = "BIS0024";
    /// A delay is longer than the broker's longest.
    DELAY_TOO_LONG = "BIS0042";
    /// A key that is not text, number or boolean.
    NOT_SCALAR = "BIS0056";
    /// An endpoint asks for a user, and there is no `#[auth]` function.
    NO_AUTH = "BIS0085";
    /// Two `#[auth]` functions in one app.
    TWO_AUTHS = "BIS0086";
    /// An endpoint takes a user type other than the app's.
    OTHER_USER = "BIS0087";
    /// A public endpoint takes a user that may be missing.
    PUBLIC_USER = "BIS0089";
    /// Two paths that cannot be served side by side.
    ROUTE_CONFLICT = "BIS0081";
}
