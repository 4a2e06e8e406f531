//! Which arguments and results can travel to another process, found out where their types are known.
//!
//! The expansion calls a method on references to a [`Probe`]; the compiler takes the first implementation on its way
//! from `&&&Probe` to `Probe` whose bounds hold. So an endpoint needs serde's traits only where it is called from another
//! process, and what cannot travel is an error at that call.

use std::marker::PhantomData;

use axum::{
    Json,
    extract::{Path, Query},
};
use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};

use super::{
    Auth,
    auth::AskedUser,
    call::OutgoingArgument,
    internal::{self, IncomingArgument},
};
use crate::{
    error::{Error, Result},
    instance::{Identity, UserType},
    json,
};

/// The traits without their names, so that an expansion's glob shadows nothing of the user's.
pub mod methods {
    pub use super::{
        ArgumentStays as _, ArgumentTravels as _, AsksForNobody as _, AsksForUser as _, NoResult as _,
        ResultStays as _, ResultTravels as _,
    };
}

/// Stands for a type.
pub struct Probe<T>(PhantomData<fn() -> T>);

impl<T> Probe<T> {
    /// Stands for `T`.
    #[expect(clippy::new_without_default, reason = "only expansions make one")]
    pub const fn new() -> Self {
        Self(PhantomData)
    }
}

/// An argument that can travel.
pub trait ArgumentTravels {
    /// The argument.
    type Argument;
    /// Writes it.
    fn encode(&self, value: &Self::Argument, argument: OutgoingArgument<'_>) -> Result<()>;
    /// Reads it.
    fn decode(&self, argument: IncomingArgument) -> Result<Self::Argument>;
}

macro_rules! travels {
    ($($Extractor:ident)*) => {$(
        impl<T: Serialize + DeserializeOwned> ArgumentTravels for &Probe<$Extractor<T>> {
            type Argument = $Extractor<T>;

            fn encode(&self, $Extractor(value): &$Extractor<T>, argument: OutgoingArgument<'_>) -> Result<()> {
                argument.write(value)
            }

            fn decode(&self, argument: IncomingArgument) -> Result<$Extractor<T>> {
                argument.read().map($Extractor)
            }
        }
    )*};
}

travels!(Json Path Query Auth);

impl<T: Serialize + DeserializeOwned> ArgumentTravels for &Probe<Option<Auth<T>>> {
    type Argument = Option<Auth<T>>;

    fn encode(&self, value: &Self::Argument, argument: OutgoingArgument<'_>) -> Result<()> {
        argument.write(&value.as_ref().map(|Auth(user)| user))
    }

    fn decode(&self, argument: IncomingArgument) -> Result<Self::Argument> {
        Ok(argument.read::<Option<T>>()?.map(Auth))
    }
}

/// What is valid travels as what it is, and is checked again where it arrives: the other process may have other rules.
#[cfg(feature = "garde")]
mod valid {
    use garde::Validate;

    use super::*;
    use crate::http::Valid;

    macro_rules! travels {
        ($($Extractor:ident)*) => {$(
            impl<T> ArgumentTravels for &Probe<Valid<$Extractor<T>>>
            where
                T: Serialize + DeserializeOwned + Validate<Context: Default>,
            {
                type Argument = Valid<$Extractor<T>>;

                fn encode(&self, value: &Self::Argument, argument: OutgoingArgument<'_>) -> Result<()> {
                    let $Extractor(value) = &**value;
                    argument.write(value)
                }

                fn decode(&self, argument: IncomingArgument) -> Result<Self::Argument> {
                    Valid::new($Extractor(argument.read()?))
                }
            }
        )*};
    }

    travels!(Json Path Query);
}

/// Any other argument.
pub trait ArgumentStays {
    /// The argument.
    type Argument;
    /// Says that it cannot travel.
    fn encode(&self, value: &Self::Argument, argument: OutgoingArgument<'_>) -> Result<()>;
    /// Says that it cannot travel.
    fn decode(&self, argument: IncomingArgument) -> Result<Self::Argument>;
}

impl<T> ArgumentStays for Probe<T> {
    type Argument = T;

    fn encode(&self, _: &T, argument: OutgoingArgument<'_>) -> Result<()> {
        Err(argument.cannot_travel())
    }

    fn decode(&self, argument: IncomingArgument) -> Result<T> {
        Err(argument.cannot_travel())
    }
}

/// A parameter that asks for the app's user.
pub trait AsksForUser {
    /// What it asks.
    fn asked_user(&self) -> Option<AskedUser>;
}

impl<U: Identity> AsksForUser for &Probe<Auth<U>> {
    fn asked_user(&self) -> Option<AskedUser> {
        Some(AskedUser { user: UserType::of::<U>(), is_optional: false })
    }
}

impl<U: Identity> AsksForUser for &Probe<Option<Auth<U>>> {
    fn asked_user(&self) -> Option<AskedUser> {
        Some(AskedUser { user: UserType::of::<U>(), is_optional: true })
    }
}

/// Any other parameter.
pub trait AsksForNobody {
    /// Nothing.
    fn asked_user(&self) -> Option<AskedUser>;
}

impl<T> AsksForNobody for Probe<T> {
    fn asked_user(&self) -> Option<AskedUser> {
        None
    }
}

/// A result that can travel.
pub trait ResultTravels {
    /// The result.
    type Output;
    /// Writes it.
    fn encode_result(&self, result: Self::Output) -> Result<Vec<u8>>;
    /// Reads it.
    fn decode_result(&self, answer: Result<Bytes>) -> Self::Output;
}

impl<T: Serialize + DeserializeOwned> ResultTravels for &&Probe<Result<Json<T>, Error>> {
    type Output = Result<Json<T>>;

    fn encode_result(&self, result: Result<Json<T>>) -> Result<Vec<u8>> {
        let mut answer = Vec::new();
        json::write(&mut answer, &result?.0)
            .map_err(|error| Error::permanent(error).context("write the answer"))?;
        Ok(answer)
    }

    fn decode_result(&self, answer: Result<Bytes>) -> Result<Json<T>> {
        let value = serde_json::from_slice(&answer?).map_err(|error| {
            Error::new(error).context("the other process answered with something else than this one expects")
        })?;
        Ok(Json(value))
    }
}

impl ResultTravels for &&Probe<Result<(), Error>> {
    type Output = Result<()>;

    fn encode_result(&self, result: Result<()>) -> Result<Vec<u8>> {
        result.map(|()| b"null".to_vec())
    }

    fn decode_result(&self, answer: Result<Bytes>) -> Result<()> {
        answer.map(|_| ())
    }
}

/// A result that cannot travel, but can say so.
pub trait ResultStays {
    /// The result.
    type Output;
    /// Says that it cannot travel.
    fn encode_result(&self, result: Self::Output) -> Result<Vec<u8>>;
    /// Says that it cannot travel.
    fn decode_result(&self, answer: Result<Bytes>) -> Self::Output;
}

impl<T> ResultStays for &Probe<Result<T, Error>> {
    type Output = Result<T>;

    fn encode_result(&self, _: Result<T>) -> Result<Vec<u8>> {
        Err(internal::result_cannot_travel())
    }

    fn decode_result(&self, answer: Result<Bytes>) -> Result<T> {
        answer?;
        Err(internal::result_cannot_travel())
    }
}

/// What is not a `bis::Result`, and so has no way to report that a call failed.
pub trait NoResult {
    /// What the function returns.
    type Output;
    /// Says that it cannot travel.
    fn encode_result(&self, result: Self::Output) -> Result<Vec<u8>>;
    /// Panics: a handler that called it is retried.
    fn decode_result(&self, answer: Result<Bytes>) -> Self::Output;
}

impl<T> NoResult for Probe<T> {
    type Output = T;

    fn encode_result(&self, _: T) -> Result<Vec<u8>> {
        Err(internal::result_cannot_travel())
    }

    fn decode_result(&self, _: Result<Bytes>) -> T {
        panic!("{}", internal::result_cannot_travel())
    }
}
