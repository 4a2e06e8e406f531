//! Serde's `rename_all` rules, from <https://serde.rs/container-attrs.html#rename_all>.

/// A field's name under a rule. An unknown rule changes nothing: serde's derive reports it.
pub fn field(name: &str, rule: Option<&str>) -> String {
    let pascal =
        || -> String { name.split('_').map(|word| with_first(word, char::to_ascii_uppercase)).collect() };
    match rule {
        Some("UPPERCASE" | "SCREAMING_SNAKE_CASE") => name.to_ascii_uppercase(),
        Some("PascalCase") => pascal(),
        Some("camelCase") => with_first(&pascal(), char::to_ascii_lowercase),
        Some("kebab-case") => name.replace('_', "-"),
        Some("SCREAMING-KEBAB-CASE") => name.to_ascii_uppercase().replace('_', "-"),
        _ => name.to_owned(),
    }
}

/// A variant's name under a rule.
pub fn variant(name: &str, rule: Option<&str>) -> String {
    let snake = || {
        let mut snake = String::new();
        for (index, letter) in name.char_indices() {
            if index > 0 && letter.is_uppercase() {
                snake.push('_');
            }
            snake.push(letter.to_ascii_lowercase());
        }
        snake
    };
    match rule {
        Some("lowercase") => name.to_ascii_lowercase(),
        Some("UPPERCASE") => name.to_ascii_uppercase(),
        Some("camelCase") => with_first(name, char::to_ascii_lowercase),
        Some("snake_case") => snake(),
        Some("SCREAMING_SNAKE_CASE") => snake().to_ascii_uppercase(),
        Some("kebab-case") => snake().replace('_', "-"),
        Some("SCREAMING-KEBAB-CASE") => snake().to_ascii_uppercase().replace('_', "-"),
        _ => name.to_owned(),
    }
}

fn with_first(word: &str, change: impl Fn(&char) -> char) -> String {
    let mut letters = word.chars();
    match letters.next() {
        Some(first) => change(&first).to_string() + letters.as_str(),
        None => String::new(),
    }
}
