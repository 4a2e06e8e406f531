//! Whether an endpoint takes as many path parameters as its path has, as far as its signature shows.

use bis_core::route;
use syn::{FnArg, ItemFn, LitStr, Type};

use crate::{
    ErrorKind, Errors,
    handler::{generic, ungrouped},
};

/// What is read from a single parameter.
const SCALARS: [&str; 18] = [
    "String", "bool", "char", "u8", "u16", "u32", "u64", "u128", "usize", "i8", "i16", "i32", "i64", "i128",
    "isize", "f32", "f64", "Uuid",
];

/// The type that an endpoint reads the parameters of its path into: `T` of its parameter `Path<T>`.
pub fn path_parameter(function: &ItemFn) -> Option<&Type> {
    function.sig.inputs.iter().find_map(|input| match input {
        FnArg::Typed(typed) => generic(&typed.ty, "Path").map(ungrouped),
        FnArg::Receiver(_) => None,
    })
}

/// Whether a name is that of a type which is read from a single parameter.
pub fn is_path_scalar(name: &str) -> bool {
    SCALARS.contains(&name)
}

/// How many parameters a type is read from; `None` when that does not show in the type itself.
pub fn path_parameter_count(ty: &Type) -> Option<usize> {
    match ungrouped(ty) {
        // The unit is read from any number.
        Type::Tuple(tuple) => Some(tuple.elems.len()).filter(|count| *count > 0),
        Type::Path(path) => {
            let last = path.path.segments.last()?;
            (last.arguments.is_none() && is_path_scalar(&last.ident.to_string())).then_some(1)
        }
        _ => None,
    }
}

/// What is wrong with a type that is read from `taken` parameters, and what to do.
pub fn path_parameter_mistake(path: &str, taken: usize) -> Option<(String, String)> {
    let names: Vec<&str> = route::parameters(path).collect();
    if names.len() == taken {
        return None;
    }
    let plural = |count: usize| if count == 1 { "" } else { "s" };
    let message = format!(
        "the path `{path}` has {} parameter{}, but the endpoint takes {taken}",
        names.len(),
        plural(names.len())
    );
    let help = match names[..] {
        [] => "leave `Path` out, or add parameters to the path, as in `{id}`".to_owned(),
        [name] => format!("take a single value, as in `Path({name}): Path<String>`"),
        _ => format!(
            "take a tuple, as in `Path(({})): Path<({})>`",
            names.join(", "),
            vec!["String"; names.len()].join(", ")
        ),
    };
    Some((message, help))
}

/// Reports a number of parameters that differs from that of the path.
pub fn check_path_parameters(path: &LitStr, function: &ItemFn, errors: &mut Errors) {
    let Some(ty) = path_parameter(function) else { return };
    let mistake = path_parameter_count(ty).and_then(|taken| path_parameter_mistake(&path.value(), taken));
    if let Some((message, help)) = mistake {
        errors.push_help(ErrorKind::PathParameters, ty, message, help);
    }
}
