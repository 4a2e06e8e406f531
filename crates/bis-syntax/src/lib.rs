//! The grammar of Bis's attributes and declarations, shared by macros and analyser, so that they cannot disagree.
//!
//! Everything here is plain data made from `syn` trees and token streams; nothing here generates code, resolves a path
//! or reads a file. Each parser takes an [`Errors`] store and puts *every* mistake into it, so that one compile shows
//! all of them; it still returns what it understood, when that is enough to go on with.
//!
//! ```
//! use bis_syntax::{Errors, SubscriptionArgs};
//! use quote::quote;
//!
//! let mut errors = Errors::new();
//! let args = SubscriptionArgs::parse(
//!     quote!(orders::PLACED, name = "ship", retry(max = 5, min_backoff = "1s"), timeout = "30s"),
//!     &mut errors,
//! )
//! .unwrap();
//! assert!(errors.is_empty());
//! assert_eq!(args.name.unwrap().text, "ship");
//! assert_eq!(args.retry.unwrap().max.unwrap().value, 5);
//! ```
//!
//! | Written | Read with |
//! |---|---|
//! | `bis::app!(services: [orders, shipping])` | [`AppArgs::parse`] |
//! | `bis::service!("orders")` | [`ServiceArgs::parse`] |
//! | `#[subscription(orders::PLACED, name = "ship")]` | [`SubscriptionArgs::parse`], its function with [`Handler::parse`] |
//! | `#[api(POST, "/orders/{id}", public, layers = [..])]` | [`ApiArgs::parse`], its function with [`Endpoint::parse`] |
//! | `#[auth]` | [`AuthArgs::parse`], its function with [`AuthFunction::parse`] |
//! | `#[mount("/files")]` | [`MountArgs::parse`], its function with [`check_mount_function`] |
//! | `#[on_start]`, `#[on_stop]` | [`Hook::check_arguments`], their function with [`Hook::function`] |
//! | `#[background(restart(max_backoff = "5m"))]` | [`BackgroundArgs::parse`], its function with [`BackgroundArgs::function`] |
//! | `#[derive(Event)]` with `#[event(key)]` | [`EventInput::parse`] |
//! | `Topic::new("order-placed").ordered()` | [`ResourceChain::parse`], checked with its kind's [`Declaration`] |
//! | `bis::resource!(Carrier::connect)` | [`ResourceArgs::parse`] |
//! | `#[bis::test(app = shop::app)]` | [`TestArgs::parse`], its function with [`check_test_function`] |
//!
//! A macro that found mistakes emits its input again and adds `errors.into_syn_error()` as a compile error:
//!
//! ```
//! use bis_syntax::{ApiArgs, Errors};
//! use quote::quote;
//!
//! let mut errors = Errors::new();
//! ApiArgs::parse(quote!(post, "orders/:id", everyone), &mut errors);
//! let error = errors.into_syn_error().unwrap();
//! assert_eq!(error.into_iter().count(), 4, "one for the method, two for the path, one for the access");
//! ```

mod app;
mod auth;
mod endpoint;
mod error;
mod event;
mod free;
mod handler;
mod layers;
mod lifecycle;
mod name;
mod options;
mod path_parameters;
pub mod rename;
mod resource;
mod state;
mod subscription;
mod test;

pub use bis_core::{
    BatchPolicy, ResourceKind, RestartPolicy, RetryPolicy, SubscriptionPolicy, format_duration, format_size,
};

pub use app::{AppArgs, ServiceArgs, app_name};
pub use auth::{AuthArgs, AuthFunction, AuthParameter, auth_parameter, check_auth_parameters};
pub use endpoint::{Access, ApiArgs, Endpoint, METHODS, MountArgs, check_mount_function};
pub use error::{Error, ErrorKind, Errors};
pub use event::{EventField, EventInput, EventPart};
pub use handler::{Handler, Shape};
pub use layers::layer_text;
pub use lifecycle::{BackgroundArgs, Hook, LifecycleFunction, RestartArgs};
pub use name::{Name, closest, kebab_case};
pub use options::{DurationOption, IntegerOption, SizeOption};
pub use path_parameters::{
    check_path_parameters, is_path_scalar, path_parameter, path_parameter_count, path_parameter_mistake,
};
pub use resource::{ChainCall, Declaration, LISTEN, ResourceChain, declaration};
pub use state::ResourceArgs;
pub use subscription::{BatchArgs, RetryArgs, SubscriptionArgs};
pub use test::{ReplacedResource, TestArgs, check_test_function};
