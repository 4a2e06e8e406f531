//! Apps that cannot be: each has two of one name, or a key that is not one.

use bis::prelude::*;

use super::work::Job;

mod service {
    use bis::prelude::*;

    bis::service!("work");

    #[api(GET, "/twin", public)]
    async fn twin() -> Result<()> {
        Ok(())
    }
}

mod topic {
    use super::*;

    bis::service!("topic");

    #[derive(Event, Serialize, Deserialize)]
    struct Other {
        id: u64,
    }

    static JOBS: Topic<Other> = Topic::new("jobs");

    #[subscription(JOBS)]
    async fn other(_: Other) -> Result<()> {
        Ok(())
    }
}

mod subscription {
    use super::*;

    bis::service!("subscription");

    static JOBS: Topic<Job> = Topic::new("jobs");

    #[subscription(JOBS, name = "run")]
    async fn again(_: Job) -> Result<()> {
        Ok(())
    }
}

mod publisher {
    use super::*;

    bis::service!("publisher");

    #[derive(Event, Serialize, Deserialize)]
    struct Other {
        millis: u64,
    }

    static JOBS: Topic<Other> = Topic::new("jobs");

    #[api(POST, "/other", public)]
    async fn publish_other() -> Result<()> {
        JOBS.publish(&Other { millis: 0 }).await?;
        Ok(())
    }
}

mod endpoint {
    use super::*;

    bis::service!("endpoint");

    #[api(GET, "/broken", public)]
    async fn broken() -> Result<()> {
        Ok(())
    }
}

mod path {
    use super::*;

    bis::service!("path");

    #[api(PUT, "/jobs/{other}", public)]
    async fn other(_: Path<u64>) -> Result<()> {
        Ok(())
    }
}

mod key {
    use super::*;

    bis::service!("key");

    #[derive(Event, Serialize, Deserialize)]
    struct Keyed {
        #[event(key)]
        parts: Parts,
    }

    #[derive(Default, Serialize, Deserialize)]
    struct Parts(Vec<u64>);

    static KEYED: Topic<Keyed> = Topic::new("keyed");

    #[subscription(KEYED)]
    async fn handle(_: Keyed) -> Result<()> {
        Ok(())
    }
}

pub(crate) mod endpoints {
    bis::app!(services: [super::super::work, super::endpoint]);
}
pub(crate) mod paths {
    bis::app!(services: [super::super::work, super::path]);
}
pub(crate) mod keys {
    bis::app!(services: [super::key]);
}
pub(crate) mod publishers {
    bis::app!(services: [super::super::work, super::publisher]);
}
pub(crate) mod services {
    bis::app!(services: [super::super::work, super::service]);
}
pub(crate) mod topics {
    bis::app!(services: [super::super::work, super::topic]);
}
pub(crate) mod subscriptions {
    bis::app!(services: [super::super::work, super::subscription]);
}
