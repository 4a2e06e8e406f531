//! Every broker runs the suite: one module each, one test a case. Brokers that are processes also run a whole app.

mod app;
mod chaos;
mod in_process;
mod nsqd;
mod router;
mod spawned;

/// One `#[test]` for each case of a whole app, with a broker from `$spawn`.
macro_rules! app_suite {
    ($spawn:path; $($case:ident)*) => {
        $(
            #[test]
            fn $case() {
                let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
                runtime.expect("a runtime").block_on(async {
                    match $spawn().await {
                        Ok(broker) => crate::app::$case(&broker).await,
                        Err(missing) => bis_conformance::skip_missing(stringify!($case), &missing),
                    }
                });
            }
        )*
    };
}
pub(crate) use app_suite;
