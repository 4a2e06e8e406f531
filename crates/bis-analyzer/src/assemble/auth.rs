//! The app's `#[auth]` function, and what endpoints ask of its user.

use bis_graph::{AskedUser, AuthFunction, Diagnostic, Severity, codes};

use super::{AppRef, Assembly, lifecycle::Place};
use crate::{
    findings::position,
    resolve::{Namespace, Target},
    schema,
    summary::{AuthSummary, HandlerItem, Ty, UserItem},
    tree::ModuleId,
};

/// How many aliases that lead to one another are followed.
const MAX_STEPS: usize = 8;

/// The sign that something in the source was not read, so that an `#[auth]` may be there.
const UNREAD: [&str; 6] = [
    codes::SYNTAX_ERROR,
    codes::UNREADABLE_FILE,
    codes::NOT_A_SERVICE,
    codes::TOO_DEEP,
    codes::UNREAD_INCLUDE,
    codes::UNREAD_MACRO,
];

impl Assembly<'_, '_, '_> {
    /// An `#[auth]` function, where it is the app's: in a listed service, or outside every service in a crate of the app, which
    /// are the one that calls `app!` and those of its services.
    pub(super) fn auth(&mut self, app: AppRef, module: ModuleId, item: &HandlerItem, summary: &AuthSummary) {
        let node = &self.resolver.tree.modules[module];
        let service = match self.owner[module] {
            Some(_) => match self.hosted(module) {
                Some(service) => Some(service.name.clone()),
                None => return,
            },
            None if self.is_of_app(app, node.krate) => None,
            None => return,
        };
        self.found.extend(item.mistakes.iter().cloned());
        let function = format!("{}::{}", node.path, item.name);
        let here = position(&node.file, item.range);
        let condition = self.condition(module, item.condition.as_ref());
        let (user, user_path) = match &summary.user {
            Some((ty, _)) => self.user_type(module, ty),
            None => (String::new(), String::new()),
        };
        self.function(module, item.body, Place::Auth(self.graph.auth.len()));
        self.graph.auth.push(AuthFunction {
            function,
            service,
            user,
            user_path,
            uses: Vec::new(),
            condition,
            position: here,
        });
    }

    fn is_of_app(&self, app: AppRef, krate: usize) -> bool {
        let of_service = |service: &super::services::ServiceRef| {
            service.listed && self.resolver.tree.modules[service.module].krate == krate
        };
        krate == app.krate || self.services.iter().any(of_service)
    }

    /// What the parameters of an endpoint ask of the app's user.
    pub(super) fn asked_users(&self, module: ModuleId, users: &[UserItem]) -> Vec<AskedUser> {
        let file = &self.resolver.tree.modules[module].file;
        let asked = |item: &UserItem| {
            let (name, path) = self.user_type(module, &item.ty);
            AskedUser { name, path, is_optional: item.is_optional, position: position(file, item.range) }
        };
        users.iter().map(asked).collect()
    }

    /// The name and path of a user's type. The path is empty when it does not resolve, which leaves it to the running app.
    pub(super) fn user_type(&self, module: ModuleId, ty: &Ty) -> (String, String) {
        let (mut module, mut ty) = (module, ty);
        for _ in 0..MAX_STEPS {
            let Ty::Path(path, _) = ty else { break };
            match self.resolver.resolve(module, path, Namespace::Type, &[]) {
                Some(Target::Alias(home, alias)) => (module, ty) = (home, &alias.ty),
                Some(Target::Type(home, item)) => {
                    return (item.name.to_string(), schema::type_path(self.resolver, home, item));
                }
                Some(Target::Foreign(segments)) => return (path.last().to_owned(), segments.join("::")),
                None if path.segments.len() == 1 && schema::is_standard(path.last()) => {
                    return (path.last().to_owned(), format!("std::{}", path.last()));
                }
                _ => return (path.last().to_owned(), String::new()),
            }
        }
        (String::new(), String::new())
    }

    /// Reports each endpoint that asks who calls when there is no `#[auth]` function.
    pub(super) fn report_no_auth(&mut self) {
        if !self.graph.auth.is_empty() {
            return;
        }
        let may_be_elsewhere = self.found.iter().any(|diagnostic| UNREAD.contains(&diagnostic.code));
        for endpoint in self.graph.endpoints.iter().filter(|endpoint| endpoint.asks_who_calls()) {
            let diagnostic = Diagnostic::error(
                codes::NO_AUTH,
                endpoint.position.clone(),
                format!("the endpoint `{}` asks who calls, and the app has no `#[auth]` function", endpoint.name),
            )
            .help("write `#[auth] async fn authenticate(headers: HeaderMap) -> Result<User>` in a service of the app, or in its crate");
            self.found.push(match may_be_elsewhere {
                true => Diagnostic { severity: Severity::Warning, ..diagnostic },
                false => diagnostic,
            });
        }
    }
}
