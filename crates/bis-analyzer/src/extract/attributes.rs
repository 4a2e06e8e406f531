//! The attributes of an expression, which has no method for them.

use syn::{Attribute, Expr};

macro_rules! attributes {
    ($expr:expr, $($Variant:ident)*) => {
        match $expr {
            $(Expr::$Variant(inner) => &inner.attrs,)*
            _ => &[],
        }
    };
}

/// The attributes in front of an expression.
pub(super) fn of(expr: &Expr) -> &[Attribute] {
    attributes!(
        expr,
        Array Assign Async Await Binary Block Break Call Cast Closure Const Continue Field ForLoop Group If Index Infer Let Lit Loop Macro Match MethodCall Paren Path Range RawAddr Reference Repeat Return Struct Try TryBlock Tuple Unary Unsafe While Yield
    )
}
