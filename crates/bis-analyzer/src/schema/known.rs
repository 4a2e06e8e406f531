//! Types of other crates that are known by name, as their serde implementations write them by default.

use serde_json::{Value, json};

/// How a known type is written.
pub(crate) enum Kind {
    Schema(Value),
    /// As its last type argument.
    Transparent,
    /// As its type argument, or null.
    Optional,
    List {
        unique: bool,
    },
    Map,
    Result,
}

/// The type `name` of the package `krate`; the prelude's types count as `std`'s.
pub(crate) fn kind(krate: &str, name: &str) -> Option<Kind> {
    let string = |format: &str| Some(Kind::Schema(json!({ "type": "string", "format": format })));
    let plain = || Some(Kind::Schema(json!({ "type": "string" })));
    match (krate, name) {
        ("std", _) => standard(name),
        ("uuid", "Uuid") => string("uuid"),
        ("chrono", "DateTime") | ("jiff", "Timestamp") => string("date-time"),
        ("chrono", "NaiveDate") | ("jiff", "Date") => string("date"),
        ("chrono", "NaiveTime") | ("jiff", "Time") => plain(),
        ("chrono", "NaiveDateTime" | "Weekday" | "Month") => plain(),
        ("jiff", "DateTime" | "Zoned") => plain(),
        ("jiff", "Span" | "SignedDuration") => string("duration"),
        ("rust_decimal" | "bigdecimal", "Decimal" | "BigDecimal") => string("decimal"),
        ("url", "Url") => string("uri"),
        ("ulid", "Ulid") | ("semver", "Version" | "VersionReq") => plain(),
        ("smol_str", "SmolStr") | ("compact_str", "CompactString") | ("camino", "Utf8PathBuf") => plain(),
        ("serde_json", "Value") => Some(Kind::Schema(json!({}))),
        ("serde_json", "Map") => Some(Kind::Schema(json!({ "type": "object" }))),
        ("serde_json", "Number") => Some(Kind::Schema(json!({ "type": "number" }))),
        ("bytes", "Bytes" | "BytesMut") => Some(Kind::Schema(
            json!({ "type": "array", "items": { "type": "integer", "minimum": 0, "maximum": 255 } }),
        )),
        ("indexmap" | "hashbrown", "IndexMap" | "HashMap") => Some(Kind::Map),
        ("indexmap" | "hashbrown", "IndexSet" | "HashSet") => Some(Kind::List { unique: true }),
        ("smallvec" | "arrayvec" | "tinyvec", "SmallVec" | "ArrayVec" | "TinyVec") => {
            Some(Kind::List { unique: false })
        }
        ("ordered-float", "OrderedFloat" | "NotNan") => Some(Kind::Schema(json!({ "type": "number" }))),
        _ => None,
    }
}

/// How the functions of `#[serde(with = "..")]` write a value, where they are known.
pub(crate) fn written_with(path: &str) -> Option<Value> {
    let form = match path.trim_start_matches("::") {
        path if path.starts_with("chrono::serde::ts_")
            || path.starts_with("jiff::fmt::serde::timestamp::") =>
        {
            let is_optional = path.ends_with("_option") || path.ends_with("::optional");
            json!({ "type": if is_optional { json!(["integer", "null"]) } else { json!("integer") } })
        }
        "rust_decimal::serde::str" | "rust_decimal::serde::arbitrary_precision_str" => {
            json!({ "type": "string", "format": "decimal" })
        }
        "rust_decimal::serde::float" => json!({ "type": "number" }),
        "serde_bytes" => {
            json!({ "type": "array", "items": { "type": "integer", "minimum": 0, "maximum": 255 } })
        }
        "time::serde::rfc3339" => json!({ "type": "string", "format": "date-time" }),
        "humantime_serde" => json!({ "type": "string" }),
        _ => return None,
    };
    Some(form)
}

fn standard(name: &str) -> Option<Kind> {
    let integer = |minimum: Value, maximum: Value| {
        let mut schema = json!({ "type": "integer" });
        for (key, bound) in [("minimum", minimum), ("maximum", maximum)] {
            if !bound.is_null() {
                schema[key] = bound;
            }
        }
        Some(Kind::Schema(schema))
    };
    let string = || Some(Kind::Schema(json!({ "type": "string" })));
    match name {
        "String" | "str" | "PathBuf" | "Path" => string(),
        "char" => Some(Kind::Schema(json!({ "type": "string", "minLength": 1, "maxLength": 1 }))),
        "bool" | "AtomicBool" => Some(Kind::Schema(json!({ "type": "boolean" }))),
        "f32" | "f64" => Some(Kind::Schema(json!({ "type": "number" }))),
        "i8" => integer(json!(i8::MIN), json!(i8::MAX)),
        "i16" => integer(json!(i16::MIN), json!(i16::MAX)),
        "i32" => integer(json!(i32::MIN), json!(i32::MAX)),
        "i64" | "i128" | "isize" => integer(Value::Null, Value::Null),
        "u8" => integer(json!(0), json!(u8::MAX)),
        "u16" => integer(json!(0), json!(u16::MAX)),
        "u32" => integer(json!(0), json!(u32::MAX)),
        "u64" | "u128" | "usize" => integer(json!(0), Value::Null),
        "NonZeroU8" | "NonZeroU16" | "NonZeroU32" | "NonZeroU64" | "NonZeroUsize" | "NonZeroU128" => {
            integer(json!(1), Value::Null)
        }
        "NonZeroI8" | "NonZeroI16" | "NonZeroI32" | "NonZeroI64" | "NonZeroIsize" => {
            integer(Value::Null, Value::Null)
        }
        "Option" => Some(Kind::Optional),
        "Vec" | "VecDeque" | "LinkedList" | "BinaryHeap" => Some(Kind::List { unique: false }),
        "HashSet" | "BTreeSet" => Some(Kind::List { unique: true }),
        "HashMap" | "BTreeMap" => Some(Kind::Map),
        "Result" => Some(Kind::Result),
        "Box" | "Rc" | "Arc" | "Cow" | "Cell" | "RefCell" | "Mutex" | "RwLock" | "Reverse" | "Wrapping"
        | "Saturating" | "NonZero" => Some(Kind::Transparent),
        "PhantomData" => Some(Kind::Schema(json!({ "type": "null" }))),
        "IpAddr" | "SocketAddr" | "SocketAddrV4" | "SocketAddrV6" => string(),
        "Ipv4Addr" => Some(Kind::Schema(json!({ "type": "string", "format": "ipv4" }))),
        "Ipv6Addr" => Some(Kind::Schema(json!({ "type": "string", "format": "ipv6" }))),
        "Duration" => Some(Kind::Schema(seconds_and_nanos("secs", "nanos"))),
        "SystemTime" => Some(Kind::Schema(seconds_and_nanos("secs_since_epoch", "nanos_since_epoch"))),
        _ => None,
    }
}

fn seconds_and_nanos(seconds: &str, nanos: &str) -> Value {
    json!({
        "type": "object",
        "properties": {
            seconds: { "type": "integer", "minimum": 0 },
            nanos: { "type": "integer", "minimum": 0, "maximum": 999_999_999 },
        },
        "required": [seconds, nanos],
    })
}
