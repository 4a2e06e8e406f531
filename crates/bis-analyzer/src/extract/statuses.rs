//! Which statuses a function answers with, as far as what it returns names them: `Ok((StatusCode::CREATED, Json(order)))`,
//! `Redirect::to("/")`. Errors are not answers of a function's own.

use syn::{
    Block, Expr, ExprClosure, ExprReturn, ItemFn, Local, Pat, Stmt,
    visit::{self, Visit},
};

use super::syntax::path_ref;

/// How many locals and branches that lead to one another are followed.
const MAX_STEPS: usize = 32;

/// The statuses in what a function returns, sorted.
pub(super) fn of(function: &ItemFn) -> Vec<u16> {
    let mut statuses = Statuses { block: &function.block, found: Vec::new() };
    statuses.tail(&function.block, 0);
    statuses.visit_block(&function.block);
    statuses.found.sort_unstable();
    statuses.found.dedup();
    statuses.found
}

struct Statuses<'a> {
    block: &'a Block,
    found: Vec<u16>,
}

impl Statuses<'_> {
    fn tail(&mut self, block: &Block, steps: usize) {
        if let Some(Stmt::Expr(value, None)) = block.stmts.last() {
            self.value(value, steps + 1);
        }
    }

    /// What is returned, or a part of it.
    fn value(&mut self, value: &Expr, steps: usize) {
        if steps > MAX_STEPS {
            return;
        }
        let steps = steps + 1;
        match value {
            Expr::Path(path) => match &*path_ref(&path.path).segments {
                [name] => self.local(name, steps),
                [.., ty, name] if &**ty == "StatusCode" => self.found.extend(status(name)),
                _ => {}
            },
            Expr::Tuple(tuple) => {
                if let Some(first) = tuple.elems.first() {
                    self.value(first, steps);
                }
            }
            Expr::Call(call) => {
                let Expr::Path(function) = &*call.func else { return };
                match (&*path_ref(&function.path).segments, call.args.first()) {
                    ([.., name], Some(value)) if &**name == "Ok" => self.value(value, steps),
                    ([.., ty, name], _) if &**ty == "Redirect" => self.found.extend(match &**name {
                        "to" => Some(303),
                        "temporary" => Some(307),
                        "permanent" => Some(308),
                        _ => None,
                    }),
                    _ => {}
                }
            }
            Expr::MethodCall(call) if call.method == "into_response" => self.value(&call.receiver, steps),
            Expr::If(branch) => {
                self.tail(&branch.then_branch, steps);
                if let Some((_, other)) = &branch.else_branch {
                    self.value(other, steps);
                }
            }
            Expr::Match(branches) => branches.arms.iter().for_each(|arm| self.value(&arm.body, steps)),
            Expr::Block(block) => self.tail(&block.block, steps),
            Expr::Paren(inner) => self.value(&inner.expr, steps),
            Expr::Group(inner) => self.value(&inner.expr, steps),
            _ => {}
        }
    }

    /// What a local of the function is set to.
    fn local(&mut self, name: &str, steps: usize) {
        let is_it = |local: &&Local| matches!(&local.pat, Pat::Ident(pat) if pat.ident == name);
        let mut locals = self.block.stmts.iter().filter_map(|statement| match statement {
            Stmt::Local(local) => Some(local),
            _ => None,
        });
        if let Some(init) = locals.rfind(is_it).and_then(|local| local.init.as_ref()) {
            self.value(&init.expr, steps);
        }
    }
}

impl<'ast> Visit<'ast> for Statuses<'_> {
    fn visit_expr_return(&mut self, returned: &'ast ExprReturn) {
        if let Some(value) = &returned.expr {
            self.value(value, 0);
        }
        visit::visit_expr_return(self, returned);
    }

    /// What a closure returns is not the function's.
    fn visit_expr_closure(&mut self, _: &'ast ExprClosure) {}

    fn visit_expr_async(&mut self, _: &'ast syn::ExprAsync) {}

    fn visit_item(&mut self, _: &'ast syn::Item) {}
}

/// The number of a constant of `StatusCode`: <https://docs.rs/http/1/http/status/struct.StatusCode.html>.
fn status(name: &str) -> Option<u16> {
    Some(match name {
        "CONTINUE" => 100,
        "SWITCHING_PROTOCOLS" => 101,
        "PROCESSING" => 102,
        "EARLY_HINTS" => 103,
        "OK" => 200,
        "CREATED" => 201,
        "ACCEPTED" => 202,
        "NON_AUTHORITATIVE_INFORMATION" => 203,
        "NO_CONTENT" => 204,
        "RESET_CONTENT" => 205,
        "PARTIAL_CONTENT" => 206,
        "MULTI_STATUS" => 207,
        "ALREADY_REPORTED" => 208,
        "IM_USED" => 226,
        "MULTIPLE_CHOICES" => 300,
        "MOVED_PERMANENTLY" => 301,
        "FOUND" => 302,
        "SEE_OTHER" => 303,
        "NOT_MODIFIED" => 304,
        "USE_PROXY" => 305,
        "TEMPORARY_REDIRECT" => 307,
        "PERMANENT_REDIRECT" => 308,
        "BAD_REQUEST" => 400,
        "UNAUTHORIZED" => 401,
        "PAYMENT_REQUIRED" => 402,
        "FORBIDDEN" => 403,
        "NOT_FOUND" => 404,
        "METHOD_NOT_ALLOWED" => 405,
        "NOT_ACCEPTABLE" => 406,
        "PROXY_AUTHENTICATION_REQUIRED" => 407,
        "REQUEST_TIMEOUT" => 408,
        "CONFLICT" => 409,
        "GONE" => 410,
        "LENGTH_REQUIRED" => 411,
        "PRECONDITION_FAILED" => 412,
        "PAYLOAD_TOO_LARGE" => 413,
        "URI_TOO_LONG" => 414,
        "UNSUPPORTED_MEDIA_TYPE" => 415,
        "RANGE_NOT_SATISFIABLE" => 416,
        "EXPECTATION_FAILED" => 417,
        "IM_A_TEAPOT" => 418,
        "MISDIRECTED_REQUEST" => 421,
        "UNPROCESSABLE_ENTITY" => 422,
        "LOCKED" => 423,
        "FAILED_DEPENDENCY" => 424,
        "TOO_EARLY" => 425,
        "UPGRADE_REQUIRED" => 426,
        "PRECONDITION_REQUIRED" => 428,
        "TOO_MANY_REQUESTS" => 429,
        "REQUEST_HEADER_FIELDS_TOO_LARGE" => 431,
        "UNAVAILABLE_FOR_LEGAL_REASONS" => 451,
        "INTERNAL_SERVER_ERROR" => 500,
        "NOT_IMPLEMENTED" => 501,
        "BAD_GATEWAY" => 502,
        "SERVICE_UNAVAILABLE" => 503,
        "GATEWAY_TIMEOUT" => 504,
        "HTTP_VERSION_NOT_SUPPORTED" => 505,
        "VARIANT_ALSO_NEGOTIATES" => 506,
        "INSUFFICIENT_STORAGE" => 507,
        "LOOP_DETECTED" => 508,
        "NOT_EXTENDED" => 510,
        "NETWORK_AUTHENTICATION_REQUIRED" => 511,
        _ => return None,
    })
}
