//! The catalogue of codes: a constant for each that `bis check` has, and the page of every code, compiled in. The codes of a
//! running app have their constants in [`bis_core::codes`]. A code is never given a second meaning.

macro_rules! codes {
    ($($(#[$doc:meta])* $CODE:ident = $code:literal;)*) => {
        $($(#[$doc])* pub const $CODE: &str = $code;)*

        /// Every code of `bis check`, in order.
        pub const ALL: &[&str] = &[$($code),*];

        pages! { of_check: $($code)* }
    };
}

macro_rules! pages {
    ($name:ident: $($code:literal)*) => {
        fn $name(code: &str) -> Option<&'static str> {
            $(if code.eq_ignore_ascii_case($code) {
                return Some(include_str!(concat!("codes/", $code, ".md")));
            })*
            None
        }
    };
}

/// The page of a code, in Markdown: what it means, what is wrong and what is right. Upper and lower case are the same.
pub fn explain(code: &str) -> Option<&'static str> {
    of_check(code).or_else(|| of_app(code))
}

pages! {
    of_app:
    "BIS1001" "BIS1002" "BIS1003"
    "BIS1010" "BIS1011" "BIS1012" "BIS1013" "BIS1014" "BIS1015" "BIS1016"
    "BIS1020" "BIS1021" "BIS1022" "BIS1023"
    "BIS1030" "BIS1031"
    "BIS1040" "BIS1041" "BIS1042" "BIS1043"
    "BIS1050" "BIS1051" "BIS1052" "BIS1053"
    "BIS1060" "BIS1061" "BIS1062" "BIS1063" "BIS1064"
    "BIS1075" "BIS1076"
    "BIS1065"
    "BIS1070" "BIS1071" "BIS1072"
    "BIS1080"
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
    /// A service uses another service's resource.
    OTHER_SERVICES_RESOURCE = "BIS0060";
    /// A resource that `resource!` does not make.
    NOT_BY_RESOURCE = "BIS0061";
    /// A background function waits on tokio's time.
    REAL_TIME = "BIS0064";
    /// An extractor or an answer whose form in a request or response cannot be seen from the source.
    UNSEEN_INTERFACE = "BIS0070";
    /// The number of path parameters that an endpoint takes is not that of its path.
    PATH_PARAMETERS = "BIS0080";
    /// Two paths that the router cannot tell apart.
    ROUTE_CONFLICT = "BIS0081";
    /// An endpoint asks who calls, and there is no `#[auth]` function.
    NO_AUTH = "BIS0085";
    /// Two `#[auth]` functions in one app.
    TWO_AUTHS = "BIS0086";
    /// An endpoint takes another type than the app's user.
    OTHER_USER = "BIS0087";
    /// An `#[auth]` function that never runs.
    UNUSED_AUTH = "BIS0088";
    /// A public endpoint takes a user that may be missing.
    PUBLIC_USER = "BIS0089";
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs};

    use super::*;

    #[test]
    fn every_code_has_a_page_and_every_page_a_code() {
        let known: BTreeSet<String> =
            ALL.iter().chain(bis_core::codes::ALL).map(|code| format!("{code}.md")).collect();
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/codes");
        let files =
            fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
        assert_eq!(known, files.collect());
        for code in ALL.iter().chain(bis_core::codes::ALL) {
            let page = explain(code).unwrap_or_else(|| panic!("`bis explain {code}` finds no page"));
            assert!(page.starts_with(&format!("# {code}: ")), "{code}");
            assert!(page.contains("\nWrong:\n") && page.contains("\nRight:\n"), "{code}");
        }
    }

    #[test]
    fn what_an_app_has_from_the_check_are_codes_of_the_check() {
        for code in bis_core::codes::SHARED {
            assert!(ALL.contains(code), "{code}");
        }
        for code in bis_core::codes::ALL {
            assert!(!ALL.contains(code), "{code}");
        }
    }
}
