//! The function under `#[subscription]`: what it takes, and so how deliveries reach it.

use syn::{FnArg, GenericArgument, Ident, ItemFn, PathArguments, ReturnType, Type};

use crate::{BatchArgs, ErrorKind, Errors, free::check_no_self_type, options::source_like};

/// How deliveries reach a handler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// `T`
    Event,
    /// `Delivery<T>`
    Delivery,
    /// `Vec<T>`
    Batch,
    /// `Vec<Delivery<T>>`
    DeliveryBatch,
}

impl Shape {
    /// Whether the handler takes many deliveries at once.
    pub fn is_batch(self) -> bool {
        matches!(self, Self::Batch | Self::DeliveryBatch)
    }
}

/// The signature of a handler.
#[derive(Debug, Clone)]
pub struct Handler {
    /// The function's name.
    pub name: Ident,
    /// What it takes.
    pub shape: Shape,
    /// The event's type, `T`.
    pub event: Type,
    /// The whole type of the parameter.
    pub parameter: Type,
}

const EXAMPLE: &str = "async fn ship(order: OrderPlaced) -> Result<()>";

impl Handler {
    /// Reads a handler's signature. `batch` is what its attribute says. `None` when the parameter is unusable.
    pub fn parse(function: &ItemFn, batch: Option<&BatchArgs>, errors: &mut Errors) -> Option<Self> {
        let signature = &function.sig;
        check_async("a handler", function, errors);
        if !signature.generics.params.is_empty() {
            errors.push_help(
                ErrorKind::Handler,
                &signature.generics,
                "a handler cannot be generic",
                "name the event's type",
            );
        }
        if matches!(signature.output, ReturnType::Default) {
            errors.push_help(
                ErrorKind::Handler,
                &signature.ident,
                format!("the handler `{}` returns nothing", signature.ident),
                "return `bis::Result<()>`, where an error asks for a retry",
            );
        }
        let parameter = single_parameter(function, errors)?;
        check_no_self_type("a handler", function, errors);
        if let Some(batch) = batch_of_another_form(&parameter) {
            errors.push_help(
                ErrorKind::Handler,
                &parameter,
                "a handler takes a batch as a `Vec`",
                format!("write `{batch}`"),
            );
            return None;
        }
        if let Type::Reference(reference) = &parameter {
            errors.push_help(
                ErrorKind::Handler,
                &parameter,
                "a handler takes its event by value",
                format!("write `{}`", source_like(ungrouped(&reference.elem))),
            );
            return None;
        }
        let (shape, event) = shape(&parameter);
        if let Some(batch) = batch
            && !shape.is_batch()
        {
            errors.push_at(
                ErrorKind::Handler,
                batch.span,
                format!("`batch(..)` on a handler that takes one `{}`", source_like(&event)),
                Some(format!("take `Vec<{}>`, or remove `batch`", source_like(&event))),
            );
        }
        Some(Self { name: signature.ident.clone(), shape, event, parameter })
    }
}

pub(crate) fn check_async(what: &str, function: &ItemFn, errors: &mut Errors) {
    if function.sig.asyncness.is_none() {
        errors.push_help(
            ErrorKind::Handler,
            function.sig.fn_token,
            format!("{what} must be async"),
            format!("write `async fn {}`", function.sig.ident),
        );
    }
}

fn single_parameter(function: &ItemFn, errors: &mut Errors) -> Option<Type> {
    let mut inputs = function.sig.inputs.iter();
    match (inputs.next(), inputs.next()) {
        (Some(FnArg::Typed(typed)), None) => Some(ungrouped(&typed.ty).clone()),
        (Some(FnArg::Receiver(receiver)), _) => {
            errors.push_help(
                ErrorKind::Handler,
                receiver,
                "a handler is a free function, without `self`",
                format!("move it out of the `impl`, and write `{EXAMPLE}`"),
            );
            None
        }
        (None, _) => {
            errors.push_help(
                ErrorKind::Handler,
                &function.sig.ident,
                format!("the handler `{}` takes no event", function.sig.ident),
                format!("write `{EXAMPLE}`"),
            );
            None
        }
        (Some(_), Some(second)) => {
            errors.push_help(
                ErrorKind::Handler,
                second,
                "a handler takes one parameter",
                "take the event, or `Delivery<..>` when you need its id, attempt or attributes",
            );
            None
        }
    }
}

/// The `Vec` to write in place of a slice or an array, owned or borrowed.
fn batch_of_another_form(parameter: &Type) -> Option<String> {
    let element = match ungrouped(parameter) {
        Type::Slice(slice) => &slice.elem,
        Type::Array(array) => &array.elem,
        Type::Reference(reference) => return batch_of_another_form(&reference.elem),
        boxed => match generic(boxed, "Box").map(ungrouped)? {
            Type::Slice(slice) => &slice.elem,
            _ => return None,
        },
    };
    Some(format!("Vec<{}>", source_like(element)))
}

/// A type without parentheses, and without the invisible ones around a macro's `$event:ty`.
pub(crate) fn ungrouped(ty: &Type) -> &Type {
    match ty {
        Type::Paren(paren) => ungrouped(&paren.elem),
        Type::Group(group) => ungrouped(&group.elem),
        _ => ty,
    }
}

fn shape(parameter: &Type) -> (Shape, Type) {
    match generic(parameter, "Vec") {
        Some(inner) => match generic(inner, "Delivery") {
            Some(event) => (Shape::DeliveryBatch, event.clone()),
            None => (Shape::Batch, inner.clone()),
        },
        None => match generic(parameter, "Delivery") {
            Some(event) => (Shape::Delivery, event.clone()),
            None => (Shape::Event, parameter.clone()),
        },
    }
}

/// `T` of `name<T>`.
pub(crate) fn generic<'a>(ty: &'a Type, name: &str) -> Option<&'a Type> {
    let Type::Path(path) = ungrouped(ty) else { return None };
    let last = path.path.segments.last()?;
    let PathArguments::AngleBracketed(arguments) = &last.arguments else { return None };
    match arguments.args.first() {
        Some(GenericArgument::Type(inner)) if last.ident == name && arguments.args.len() == 1 => Some(inner),
        _ => None,
    }
}
