//! The paths of endpoints and mounts: which can be served and reached at all, and which can be served side by side. Macros,
//! `bis check` and a starting app all ask here, and the matcher is the very one that axum uses, so they cannot disagree.

use std::fmt;

/// The first segment of the paths that the app's own processes use among themselves.
pub const RESERVED: &str = "_bis";

/// Something that is wrong with a path, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathMistake {
    /// What is wrong: lower case, no full stop.
    pub message: String,
    /// What to write instead.
    pub help: String,
}

fn mistake(message: impl Into<String>, help: impl Into<String>) -> PathMistake {
    PathMistake { message: message.into(), help: help.into() }
}

/// Everything that is wrong with an endpoint's path; nothing when it can be served and reached.
pub fn path_mistakes(path: &str) -> Vec<PathMistake> {
    let mut found = Vec::new();
    if !path.starts_with('/') {
        found.push(mistake(
            format!("the path `{path}` does not begin with a slash"),
            format!("write `\"/{path}\"`"),
        ));
    }
    if path.contains(|c: char| c.is_whitespace() || c == '?' || c == '#') {
        found.push(mistake(
            format!("the path `{path}` holds a space, `?` or `#`"),
            "take query parameters with the `Query` extractor",
        ));
    }
    let segments: Vec<&str> = path.split('/').skip(usize::from(path.starts_with('/'))).collect();
    if segments.first() == Some(&RESERVED) {
        found.push(mistake(
            format!("paths under `/{RESERVED}` are for calls between the app's own processes"),
            "choose another path",
        ));
    }
    let mut seen: Vec<&str> = Vec::new();
    for (index, segment) in segments.iter().enumerate() {
        let is_last = index + 1 == segments.len();
        match Segment::read(segment) {
            Segment::Text => found.extend(text_mistake(path, segment)),
            Segment::Parameter(name) if seen.contains(&name) => {
                found
                    .push(mistake(format!("the parameter `{name}` appears twice in the path"), "rename one"));
            }
            Segment::Rest(name) if seen.contains(&name) => {
                found
                    .push(mistake(format!("the parameter `{name}` appears twice in the path"), "rename one"));
            }
            Segment::Parameter(name) => seen.push(name),
            Segment::Rest(name) if is_last => seen.push(name),
            Segment::Rest(_) => found.push(mistake(
                format!("`{segment}` takes the whole rest of the path, so nothing can follow it"),
                format!(
                    "move it to the end, or write `{{{}}}` for one segment",
                    segment.trim_matches(['{', '*', '}'])
                ),
            )),
            Segment::Foreign(name) => found.push(mistake(
                format!("`{segment}` is not how a parameter is written"),
                format!("write `{{{name}}}`"),
            )),
            Segment::Broken => found.push(mistake(
                format!("`{segment}` is not a path segment"),
                "a parameter is a whole segment, as in `/orders/{id}`",
            )),
        }
    }
    found
}

/// Everything that is wrong with a mount's path.
pub fn mount_mistakes(path: &str) -> Vec<PathMistake> {
    if path.contains(['{', '}']) {
        let message = format!("the mount path `{path}` holds a parameter");
        return vec![mistake(message, "put parameters into the routes of the mounted router")];
    }
    if path.len() > 1 && path.ends_with('/') {
        let message = format!("the mount path `{path}` ends with a slash");
        return vec![mistake(message, format!("write `\"/{}\"`", path.trim_matches('/')))];
    }
    path_mistakes(path)
}

/// The names of a path's parameters, in order.
pub fn parameters(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter_map(|segment| match Segment::read(segment) {
        Segment::Parameter(name) | Segment::Rest(name) => Some(name),
        _ => None,
    })
}

/// What is between two slashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Segment<'a> {
    Text,
    /// `{name}`
    Parameter(&'a str),
    /// `{*name}`
    Rest(&'a str),
    /// A parameter as other routers write it, and how it is written here: `:name`, `<name>`, `*name`.
    Foreign(&'a str),
    /// Braces in a place where they have no meaning.
    Broken,
}

impl<'a> Segment<'a> {
    fn read(segment: &'a str) -> Self {
        // axum refuses what begins with a colon or an asterisk, whatever follows.
        if let Some(name) = segment.strip_prefix([':', '<']) {
            return Self::Foreign(name.trim_end_matches('>'));
        }
        if segment.starts_with('*') {
            return Self::Foreign(segment);
        }
        if !segment.contains(['{', '}']) {
            return Self::Text;
        }
        let Some(inner) = segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) else {
            return Self::Broken;
        };
        let name = inner.strip_prefix('*').unwrap_or(inner);
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            return Self::Broken;
        }
        if inner.starts_with('*') { Self::Rest(name) } else { Self::Parameter(name) }
    }
}

/// Why no request ever has this segment, if so: paths are compared byte by byte with what a client sends, and RFC 3986 says
/// what that may be (<https://www.rfc-editor.org/rfc/rfc3986#section-3.3>).
fn text_mistake(path: &str, segment: &str) -> Option<PathMistake> {
    let plain = segment.replace("%2e", ".").replace("%2E", ".");
    if plain == "." || plain == ".." {
        return Some(mistake(
            format!("no request reaches `{path}`: clients resolve `{segment}` before they send"),
            "leave it out",
        ));
    }
    let mut encoded = String::new();
    let mut strange = None;
    for (index, c) in segment.char_indices() {
        let is_escape = c == '%' && {
            let digits = segment.as_bytes().get(index + 1..index + 3);
            digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
        };
        if is_escape || is_plain(c) || c.is_whitespace() || c == '?' || c == '#' {
            encoded.push(c);
            continue;
        }
        strange.get_or_insert(c);
        let mut bytes = [0; 4];
        for byte in c.encode_utf8(&mut bytes).bytes() {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    let strange = strange?;
    Some(mistake(
        format!("no request reaches `{path}`: clients send `{strange}` percent-encoded"),
        format!("write the segment as `{encoded}`"),
    ))
}

/// Whether a character stands for itself in a path.
fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-._~!$&'()*+,;=:@".contains(c)
}

/// Why a route cannot be added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RouteConflict<P> {
    /// The same method and path, or a mount at the same path, exists already.
    Same {
        /// Its place.
        first: P,
    },
    /// The matcher cannot tell the path from an existing one.
    Beside {
        /// That path.
        path: String,
        /// Its place.
        first: P,
    },
    /// The matcher does not take the path at all.
    Invalid {
        /// Why.
        reason: String,
    },
}

/// The routes of one listener, each with its place in the source. Endpoints come before mounts, each sorted by path.
pub struct Routes<P> {
    matcher: matchit::Router<()>,
    paths: Vec<(String, P)>,
    owners: Vec<(String, String, P)>,
}

impl<P> Default for Routes<P> {
    fn default() -> Self {
        Self { matcher: matchit::Router::new(), paths: Vec::new(), owners: Vec::new() }
    }
}

/// The placeholder for the method of a mount.
const MOUNT: &str = "mount";

impl<P: Clone> Routes<P> {
    /// Adds an endpoint.
    ///
    /// # Errors
    /// When it cannot be served beside what is there.
    pub fn endpoint(&mut self, method: &str, path: &str, place: P) -> Result<(), RouteConflict<P>> {
        self.own(method, path, &place)?;
        if self.paths.iter().any(|(taken, _)| taken == path) {
            return Ok(());
        }
        self.claim(path.to_owned(), place)
    }

    /// Adds a mount, which takes its path and everything under it. One at `/` takes what nothing else does.
    ///
    /// # Errors
    /// When it cannot be served beside what is there.
    pub fn mount(&mut self, path: &str, place: P) -> Result<(), RouteConflict<P>> {
        self.own(MOUNT, path, &place)?;
        if path == "/" {
            return Ok(());
        }
        for taken in [path.to_owned(), format!("{path}/"), format!("{path}/{{*rest}}")] {
            self.claim(taken, place.clone())?;
        }
        Ok(())
    }

    fn own(&mut self, method: &str, path: &str, place: &P) -> Result<(), RouteConflict<P>> {
        let same = self.owners.iter().find(|(other, at, _)| other == method && at == path);
        if let Some((_, _, first)) = same {
            return Err(RouteConflict::Same { first: first.clone() });
        }
        self.owners.push((method.to_owned(), path.to_owned(), place.clone()));
        Ok(())
    }

    fn claim(&mut self, taken: String, place: P) -> Result<(), RouteConflict<P>> {
        match self.matcher.insert(taken.clone(), ()) {
            Ok(()) => {
                self.paths.push((taken, place));
                Ok(())
            }
            Err(matchit::InsertError::Conflict { with }) => {
                // The matcher names a path as far as the two agree; the place is that of the whole one.
                let beside = self.paths.iter().find(|(path, _)| excludes(path, &taken));
                match beside {
                    Some((path, first)) => {
                        Err(RouteConflict::Beside { path: path.clone(), first: first.clone() })
                    }
                    None => Err(RouteConflict::Invalid { reason: format!("it conflicts with `{with}`") }),
                }
            }
            Err(error) => Err(RouteConflict::Invalid { reason: error.to_string() }),
        }
    }
}

/// Whether the matcher cannot have both.
fn excludes(first: &str, second: &str) -> bool {
    let mut matcher = matchit::Router::new();
    matcher.insert(first, ()).is_ok() && matcher.insert(second, ()).is_err()
}

impl<P> fmt::Debug for Routes<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.paths.iter().map(|(path, _)| path)).finish()
    }
}

#[cfg(test)]
mod tests;
