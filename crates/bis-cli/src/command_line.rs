//! The words of the command line for clap: nsqd's flags may have one dash or two, clap's have two.
//!
//! Only `bis router` has nsqd's flags; the words of other commands are never changed.

use std::ffi::OsString;

/// The words that this process was started with.
pub(crate) fn words() -> Vec<OsString> {
    with_two_dashes(std::env::args_os().collect())
}

/// Gives every flag of `bis router` its second dash. Words after `--` are not flags, and `-h` is clap's own.
fn with_two_dashes(mut words: Vec<OsString>) -> Vec<OsString> {
    if words.get(1).is_none_or(|command| command != "router") {
        return words;
    }
    for word in words.iter_mut().skip(2).take_while(|word| *word != "--") {
        if let [b'-', first, _, ..] = word.as_encoded_bytes()
            && first.is_ascii_alphabetic()
        {
            let mut flag = OsString::from("-");
            flag.push(&*word);
            *word = flag;
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(given: &str, expected: &str) {
        let found = with_two_dashes(given.split(' ').map(OsString::from).collect());
        assert_eq!(found.join(" ".as_ref()), expected);
    }

    #[test]
    fn a_flag_of_the_router_may_have_one_dash() {
        check("bis router -data-path x", "bis router --data-path x");
        check("bis router -data-path=/a-b -snappy=false", "bis router --data-path=/a-b --snappy=false");
        check("bis router --data-path x -verbose", "bis router --data-path x --verbose");
    }

    #[test]
    fn what_is_no_flag_stays() {
        check("bis router -h - -5 -- -data-path", "bis router -h - -5 -- -data-path");
        check("bis run -Fone", "bis run -Fone");
        check("bis", "bis");
    }
}
