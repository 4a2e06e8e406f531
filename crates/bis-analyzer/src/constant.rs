//! The value of a constant expression: literals, other constants, arithmetic, `concat!` and `Duration`'s constructors.

use std::time::Duration;

use crate::{
    resolve::{Namespace, Resolver, Target},
    summary::{Constant, Value},
    tree::ModuleId,
};

/// How deep constants may refer to each other.
const MAX_DEPTH: usize = 32;

/// The value of an expression written in `module`; `None` when it is not constant in a way that can be seen.
pub(crate) fn value(resolver: &Resolver<'_, '_>, module: ModuleId, expr: &Constant) -> Option<Value> {
    evaluate(resolver, module, expr, 0)
}

fn evaluate(resolver: &Resolver<'_, '_>, module: ModuleId, expr: &Constant, depth: usize) -> Option<Value> {
    if depth > MAX_DEPTH {
        return None;
    }
    match expr {
        Constant::Text(text) => Some(Value::Text(text.clone())),
        Constant::Integer(number) => Some(Value::Integer(*number)),
        Constant::Path(path) if matches!(&path.segments[..], [.., ty, name] if &**ty == "Retention" && &**name == "DEFAULT") => {
            Some(Value::Retention(bis_core::Retention::DEFAULT))
        }
        Constant::Path(path) => match resolver.resolve(module, path, Namespace::Value, &[])? {
            Target::Const(home, item) => evaluate(resolver, home, &item.value, depth + 1),
            _ => None,
        },
        Constant::Concat(parts) => {
            let mut text = String::new();
            for part in parts {
                match evaluate(resolver, module, part, depth + 1)? {
                    Value::Text(part) => text.push_str(&part),
                    Value::Integer(part) => text.push_str(&part.to_string()),
                    Value::Duration(_) | Value::Retention(_) => return None,
                }
            }
            Some(Value::Text(text))
        }
        Constant::Binary(operator, left, right) => {
            let left = integer(evaluate(resolver, module, left, depth + 1)?)?;
            let right = integer(evaluate(resolver, module, right, depth + 1)?)?;
            let number = match operator {
                '+' => left.checked_add(right),
                '-' => left.checked_sub(right),
                '*' => left.checked_mul(right),
                _ => left.checked_div(right),
            };
            number.map(Value::Integer)
        }
        Constant::Duration(unit, count) => {
            duration(unit, integer(evaluate(resolver, module, count, depth + 1)?)?).map(Value::Duration)
        }
        Constant::Retention(age, bytes) => {
            let mut retention = bis_core::Retention::DEFAULT;
            if let Some(age) = age {
                retention.max_age = match evaluate(resolver, module, age, depth + 1)? {
                    Value::Duration(age) => age,
                    _ => return None,
                };
            }
            if let Some(bytes) = bytes {
                let bytes = integer(evaluate(resolver, module, bytes, depth + 1)?)?;
                retention.max_bytes = u64::try_from(bytes).ok()?;
            }
            Some(Value::Retention(retention))
        }
        Constant::Opaque => None,
    }
}

fn integer(value: Value) -> Option<u128> {
    match value {
        Value::Integer(number) => Some(number),
        _ => None,
    }
}

/// What `Duration`'s constructor of this name makes.
fn duration(constructor: &str, count: u128) -> Option<Duration> {
    let nanos_each: u128 = match constructor {
        "from_nanos" => 1,
        "from_micros" => 1_000,
        "from_millis" => 1_000_000,
        "from_secs" => 1_000_000_000,
        "from_mins" => 60 * 1_000_000_000,
        "from_hours" => 3_600 * 1_000_000_000,
        "from_days" => 86_400 * 1_000_000_000,
        "from_weeks" => 7 * 86_400 * 1_000_000_000,
        _ => return None,
    };
    let nanos = count.checked_mul(nanos_each)?;
    let seconds = u64::try_from(nanos / 1_000_000_000).ok()?;
    let rest = u32::try_from(nanos % 1_000_000_000).ok()?;
    Some(Duration::new(seconds, rest))
}
