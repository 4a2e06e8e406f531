//! After a build `bis run` asks the program what it is made of, and warns about what the source does not show.

use crate::support::{Run, StandIn};

const SOURCE: &str = include_str!("support/stand_in.rs");

#[test]
fn what_only_the_program_has_is_told() {
    let hidden = r#""endpoints":[{"method":"GET","path":"/hidden","service":"stand-in"}]"#;
    let app = StandIn::new();
    app.save(&SOURCE.replace("\"endpoints\":[]", hidden));
    let run = Run::start(&app, &[]);
    run.wait_for_stderr(
        "the endpoint `GET /hidden` of the service `stand-in` is in the program, but not in the graph",
    );
    run.wait_for("ready");
    run.wait_for_stderr("BIS0054");
    assert_eq!(run.stderr().matches("BIS0054").count(), 1, "{}", run.stderr());
    app.save(&SOURCE.replace("[{\"name\":\"stand-in\"}]", "[]"));
    run.wait_for_stderr("the service `stand-in` is in the graph, but not in the program");
}
