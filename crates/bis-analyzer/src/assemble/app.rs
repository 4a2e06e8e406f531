//! Which call of `bis::app!` makes the app.

use bis_graph::{Diagnostic, Position, codes};

use crate::{findings::position, resolve::Resolver, tree::ModuleId};

/// A call of `app!`: its module, its place among the module's calls, and the crate.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AppRef {
    pub(crate) module: ModuleId,
    /// The part of the module in which it is.
    pub(crate) part: ModuleId,
    pub(crate) index: usize,
    pub(crate) krate: usize,
}

/// The app that was found, if there is exactly one, and what is wrong otherwise.
pub(crate) struct Found {
    pub(crate) call: Option<AppRef>,
    pub(crate) diagnostics: Vec<Diagnostic>,
}

/// Looks for `app!` in the crates of the packages in which the app may be.
pub(crate) fn find(resolver: &Resolver<'_, '_>) -> Found {
    let tree = resolver.tree;
    let in_group = |group: &Vec<usize>| {
        let mut calls = Vec::new();
        for (module, node) in tree.modules.iter().enumerate() {
            if !group.contains(&tree.crates[node.krate].package) {
                continue;
            }
            for (index, call) in node.module.apps.iter().enumerate() {
                if resolver.is_bis(module, &call.call, &[]) {
                    calls.push(AppRef {
                        module: node.whole.unwrap_or(module),
                        part: module,
                        index,
                        krate: node.krate,
                    });
                }
            }
        }
        calls
    };
    let calls = tree.project.candidates.iter().map(in_group).find(|calls| !calls.is_empty());
    let calls = calls.unwrap_or_default();
    let place = |call: &AppRef| -> Position {
        let node = &tree.modules[call.part];
        position(&node.file, node.module.apps[call.index].range)
    };
    let mut diagnostics = Vec::new();
    for other in calls.iter().skip(1) {
        let same_package = tree.crates[other.krate].package == tree.crates[calls[0].krate].package;
        let help = if other.krate != calls[0].krate && same_package {
            "name the program that you mean with `default-run` in Cargo.toml, or with `--bin`"
        } else if same_package {
            "keep one of them"
        } else {
            "name the folder of the app that you mean, as in `bis check path/to/app`"
        };
        diagnostics.push(
            Diagnostic::error(codes::MANY_APPS, place(other), "there is more than one app here")
                .labelled("another app")
                .and(place(&calls[0]), "the first app")
                .help(help),
        );
    }
    Found { call: calls.first().copied(), diagnostics }
}

/// What is reported when nothing calls `app!`.
pub(crate) fn no_app(position: Option<Position>) -> Diagnostic {
    Diagnostic::error(codes::NO_APP, position, "this is not a Bis app: nothing calls `bis::app!`")
        .help("write `bis::app!(services: [orders]);` in `src/lib.rs`, with the modules of your services")
}
