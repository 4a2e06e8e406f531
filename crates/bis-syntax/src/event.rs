//! `#[derive(Event)]`: which fields are the key, the attributes and the secrets of an event type.

use syn::{
    DeriveInput, Field, GenericArgument, Ident, LitStr, Member, PathArguments, Type, spanned::Spanned,
};

use crate::{
    ErrorKind, Errors,
    handler::ungrouped,
    options::{self, Argument, Known},
};

/// The input of `#[derive(Event)]`.
#[derive(Debug, Clone)]
pub struct EventInput {
    /// The type's name.
    pub name: Ident,
    /// The field under `#[event(key)]`.
    pub key: Option<EventField>,
    /// The fields under `#[event(attribute)]`, in the order of the source.
    pub attributes: Vec<EventField>,
    /// The names that fields under `#[event(sensitive)]` may have in JSON, those of an enum's variants included. A field
    /// without a name has its index.
    pub sensitive: Vec<String>,
    /// All fields, those of an enum's variants included: what is sensitive in their types is so in the event.
    pub parts: Vec<EventPart>,
    /// `#[event(validate)]` on the type: an event is validated before it is published.
    pub validate: Option<Ident>,
    /// `#[event(schema = "..")]` on the type: its JSON Schema, instead of the one that its fields give.
    pub schema: Option<LitStr>,
    /// `#[event(identity)]` on the type: its events carry the identity of the user who caused them.
    pub identity: bool,
    /// `#[event(schema = "..")]` on fields.
    pub field_schemas: Vec<(EventField, LitStr)>,
}

/// A field of an event type.
#[derive(Debug, Clone)]
pub struct EventField {
    /// Its name or index.
    pub member: Member,
    /// Its name in JSON, after serde's `rename` and `rename_all`; a tuple's field has its index.
    pub json_name: String,
    /// Its type.
    pub ty: Type,
}

/// A field, as far as it matters for what is sensitive in it.
#[derive(Debug, Clone)]
pub struct EventPart {
    /// Its name in JSON; `None` where its content takes the place of the whole: it is flattened, or has no name.
    pub json_name: Option<String>,
    /// Its type.
    pub ty: Type,
}

#[derive(Default)]
struct FieldAttrs {
    key: Option<Ident>,
    attribute: Option<Ident>,
    sensitive: Option<Ident>,
    schema: Option<LitStr>,
}

#[derive(Default)]
struct TypeAttrs {
    schema: Option<LitStr>,
    validate: Option<Ident>,
    identity: bool,
}

impl EventInput {
    /// Reads a type under `#[derive(Event)]`, with the attributes of its fields.
    pub fn parse(input: &DeriveInput, errors: &mut Errors) -> Self {
        let TypeAttrs { schema, validate, identity } = type_attrs(input, errors);
        let mut event = Self {
            name: input.ident.clone(),
            key: None,
            attributes: Vec::new(),
            sensitive: Vec::new(),
            parts: Vec::new(),
            validate,
            schema,
            identity,
            field_schemas: Vec::new(),
        };
        let rename_all = serde_value(&input.attrs, "rename_all");
        match &input.data {
            syn::Data::Struct(data) => {
                for (index, field) in data.fields.iter().enumerate() {
                    event.field(index, field, rename_all.as_deref(), errors);
                }
            }
            syn::Data::Enum(data) => {
                let of_all = serde_value(&input.attrs, "rename_all_fields");
                for variant in &data.variants {
                    let rename_all = serde_value(&variant.attrs, "rename_all").or_else(|| of_all.clone());
                    for (index, field) in variant.fields.iter().enumerate() {
                        event.variant_field(index, field, rename_all.as_deref(), errors);
                    }
                }
            }
            syn::Data::Union(data) => errors.push_help(
                ErrorKind::Event,
                data.union_token,
                "a union cannot be an event",
                "use a struct or an enum",
            ),
        }
        event.note_proxies(&input.attrs);
        if let Some(lifetime) = input.generics.lifetimes().next() {
            errors.push_help(
                ErrorKind::Event,
                lifetime,
                "an event type cannot borrow",
                "use owned types such as `String`, and no lifetime",
            );
        }
        event
    }

    /// Notes the types that are written and read instead of this one (`#[serde(into = "..")]`). What is sensitive here has
    /// other names in them, which are not known: then the whole is sensitive.
    fn note_proxies(&mut self, attrs: &[syn::Attribute]) {
        let texts = ["into", "from", "try_from"].iter().flat_map(|option| serde_texts(attrs, option));
        let proxies: Vec<EventPart> = texts
            .filter_map(|text| syn::parse_str(&text).ok())
            .map(|ty| EventPart { json_name: None, ty })
            .collect();
        if !proxies.is_empty() && !self.sensitive.is_empty() {
            self.sensitive.push("0".to_owned());
        }
        self.parts.extend(proxies);
    }

    fn field(&mut self, index: usize, field: &Field, rename_all: Option<&str>, errors: &mut Errors) {
        let attrs = field_attrs(field, errors);
        let event_field = || EventField {
            member: match &field.ident {
                Some(name) => Member::Named(name.clone()),
                None => Member::Unnamed(index.into()),
            },
            json_name: json_name(index, field, rename_all),
            ty: field.ty.clone(),
        };
        if let Some(place) = &attrs.key {
            match &self.key {
                Some(first) => errors.push_help(
                    ErrorKind::Event,
                    place,
                    "an event has only one key",
                    format!("keep `#[event(key)]` on `{}` or here, not on both", first.json_name),
                ),
                None => self.key = Some(event_field()),
            }
        }
        if attrs.attribute.is_some() {
            self.attributes.push(event_field());
        }
        self.note_sensitive(index, field, rename_all, attrs.sensitive.is_some());
        if let (Some(attribute), Some(_)) = (&attrs.attribute, &attrs.sensitive) {
            errors.push_help(
                ErrorKind::Event,
                attribute,
                "a sensitive field cannot be an attribute, since brokers show attributes in the clear",
                "remove one of the two",
            );
        }
        for (place, word) in [(&attrs.key, "the key"), (&attrs.attribute, "an attribute")] {
            if place.is_some() && is_no_scalar(&field.ty) {
                errors.push_help(
                    ErrorKind::Event,
                    &field.ty,
                    format!(
                        "`{}` cannot be {word}: it is not a JSON scalar",
                        options::source_like(&field.ty)
                    ),
                    "use text, a number, a boolean, or a type that serializes as one of them",
                );
            }
        }
        if let Some(schema) = attrs.schema {
            self.field_schemas.push((event_field(), schema));
        }
    }
}

impl EventInput {
    /// A field of an enum's variant: it may be sensitive, and nothing else.
    fn variant_field(&mut self, index: usize, field: &Field, rename_all: Option<&str>, errors: &mut Errors) {
        let attrs = field_attrs(field, errors);
        self.note_sensitive(index, field, rename_all, attrs.sensitive.is_some());
        refuse_in_enum(attrs, errors);
    }

    fn note_sensitive(&mut self, index: usize, field: &Field, rename_all: Option<&str>, is_sensitive: bool) {
        let is_bare = field.ident.is_none() || serde_has(&field.attrs, "flatten");
        let json_name = json_name(index, field, rename_all);
        if is_sensitive {
            // Of a flattened field the fields in it are sensitive, and these are not known here.
            self.sensitive.push(if is_bare { index.to_string() } else { json_name.clone() });
            if !is_bare {
                self.sensitive.extend(serde_texts(&field.attrs, "alias"));
                self.sensitive.extend(serde_side(&field.attrs, "rename", "deserialize"));
            }
        }
        self.parts.push(EventPart { json_name: (!is_bare).then_some(json_name), ty: field.ty.clone() });
    }
}

/// Whether a type is written as one that cannot serialize to a JSON scalar. For other types only a value tells.
fn is_no_scalar(ty: &Type) -> bool {
    const COLLECTIONS: [&str; 8] =
        ["Vec", "VecDeque", "HashMap", "BTreeMap", "HashSet", "BTreeSet", "LinkedList", "BinaryHeap"];
    /// What serializes as the type in it.
    const TRANSPARENT: [&str; 5] = ["Option", "Box", "Arc", "Rc", "Cow"];
    let ty = ungrouped(ty);
    match ty {
        Type::Array(_) | Type::Slice(_) => true,
        Type::Tuple(tuple) => !tuple.elems.is_empty(),
        Type::Reference(reference) => is_no_scalar(&reference.elem),
        Type::Path(path) => path.path.segments.last().is_some_and(|last| {
            let PathArguments::AngleBracketed(arguments) = &last.arguments else { return false };
            let is_one_of = |names: &[&str]| names.iter().any(|name| last.ident == name);
            is_one_of(&COLLECTIONS)
                || (is_one_of(&TRANSPARENT)
                    && arguments
                        .args
                        .iter()
                        .any(|inner| matches!(inner, GenericArgument::Type(inner) if is_no_scalar(inner))))
        }),
        _ => false,
    }
}

fn type_attrs(input: &DeriveInput, errors: &mut Errors) -> TypeAttrs {
    let mut attrs = TypeAttrs::default();
    let mut known = Known::new("`#[event]` on a type", &["schema", "validate", "identity"]);
    for argument in event_arguments(&input.attrs, errors) {
        match argument {
            Argument::Assign(name, value) if known.accept(&name, errors) => match name.to_string().as_str() {
                "schema" => {
                    attrs.schema = options::text(&value, "`schema`", "{\\\"type\\\":\\\"string\\\"}", errors);
                }
                word => known.wrong_form(&name, word, errors),
            },
            Argument::Assign(..) => {}
            Argument::List(name, _) if name == "validate" => known.wrong_form(&name, "validate", errors),
            Argument::List(name, _) if name == "identity" => known.wrong_form(&name, "identity", errors),
            Argument::List(name, _) => known.wrong_form(&name, "schema = \"..\"", errors),
            Argument::Plain(tokens) => match tokens.to_string().as_str() {
                "validate" => {
                    if let Ok(word) = syn::parse2::<Ident>(tokens)
                        && known.accept(&word, errors)
                    {
                        attrs.validate = Some(word);
                    }
                }
                word @ ("key" | "attribute" | "sensitive") => errors.push_help(
                    ErrorKind::Event,
                    &tokens,
                    format!("`{word}` goes on a field"),
                    format!("put `#[event({word})]` on the field that it describes"),
                ),
                "identity" => {
                    let word = syn::parse2::<Ident>(tokens.clone());
                    attrs.identity |= word.is_ok_and(|word| known.accept(&word, errors));
                }
                _ => known.unexpected(&tokens, errors),
            },
        }
    }
    attrs
}

fn field_attrs(field: &Field, errors: &mut Errors) -> FieldAttrs {
    let mut attrs = FieldAttrs::default();
    let mut known = Known::new("`#[event]` on a field", &["key", "attribute", "sensitive", "schema"]);
    for argument in event_arguments(&field.attrs, errors) {
        match argument {
            Argument::Plain(tokens) => {
                let Ok(word) = syn::parse2::<Ident>(tokens.clone()) else {
                    known.unexpected(&tokens, errors);
                    continue;
                };
                if word == "validate" {
                    errors.push_help(
                        ErrorKind::Event,
                        &word,
                        "`validate` goes on the type",
                        "put `#[event(validate)]` above the type, and rules such as `#[garde(length(min = 1))]` on its fields",
                    );
                    continue;
                }
                if !known.accept(&word, errors) {
                    continue;
                }
                match word.to_string().as_str() {
                    "key" => attrs.key = Some(word),
                    "attribute" => attrs.attribute = Some(word),
                    "sensitive" => attrs.sensitive = Some(word),
                    _ => known.wrong_form(&word, "schema = \"..\"", errors),
                }
            }
            Argument::Assign(name, value) if known.accept(&name, errors) => {
                if name == "schema" {
                    attrs.schema = options::text(&value, "`schema`", "{\\\"type\\\":\\\"string\\\"}", errors);
                } else {
                    known.wrong_form(&name, &name.to_string(), errors);
                }
            }
            Argument::List(name, _) if known.accept(&name, errors) => {
                known.wrong_form(&name, &name.to_string(), errors);
            }
            Argument::Assign(..) | Argument::List(..) => {}
        }
    }
    attrs
}

fn refuse_in_enum(attrs: FieldAttrs, errors: &mut Errors) {
    for (word, name) in [(attrs.key, "key"), (attrs.attribute, "attribute")] {
        if let Some(word) = word {
            errors.push_help(
                ErrorKind::Event,
                word,
                format!("`{name}` cannot be used in an enum, since not every variant has the field"),
                format!("make the event a struct that has the {name} beside the enum"),
            );
        }
    }
}

fn event_arguments(attrs: &[syn::Attribute], errors: &mut Errors) -> Vec<Argument> {
    let mut all = Vec::new();
    for attr in attrs.iter().filter(|attr| attr.path().is_ident("event")) {
        match &attr.meta {
            syn::Meta::List(list) => all.extend(options::arguments(list.tokens.clone())),
            _ => errors.push_help(
                ErrorKind::Event,
                attr,
                "`#[event]` is empty",
                "write `#[event(key)]`, `#[event(attribute)]`, `#[event(sensitive)]`, `#[event(validate)]`, `#[event(identity)]` or `#[event(schema = \"..\")]`",
            ),
        }
    }
    all
}

/// The value of `#[serde(option = "..")]`; for `rename(serialize = "..")` the serialized one.
fn serde_value(attrs: &[syn::Attribute], option: &str) -> Option<String> {
    serde_texts(attrs, option).pop().or_else(|| serde_side(attrs, option, "serialize"))
}

/// The values of all `#[serde(option = "..")]`.
fn serde_texts(attrs: &[syn::Attribute], option: &str) -> Vec<String> {
    let text = |argument| match argument {
        Argument::Assign(name, value) if name == option => syn::parse2::<LitStr>(value).ok(),
        _ => None,
    };
    serde_arguments(attrs).filter_map(text).map(|text| text.value()).collect()
}

/// The value of one side in `#[serde(option(side = ".."))]`.
fn serde_side(attrs: &[syn::Attribute], option: &str, side: &str) -> Option<String> {
    let inner = |argument| match argument {
        Argument::List(name, inner) if name == option => Some(options::arguments(inner)),
        _ => None,
    };
    let text = |argument| match argument {
        Argument::Assign(name, value) if name == side => syn::parse2::<LitStr>(value).ok(),
        _ => None,
    };
    serde_arguments(attrs).filter_map(inner).flatten().filter_map(text).map(|text| text.value()).next_back()
}

/// Whether there is `#[serde(word)]`.
fn serde_has(attrs: &[syn::Attribute], word: &str) -> bool {
    serde_arguments(attrs)
        .any(|argument| matches!(argument, Argument::Plain(tokens) if tokens.to_string() == word))
}

fn serde_arguments(attrs: &[syn::Attribute]) -> impl DoubleEndedIterator<Item = Argument> {
    let lists =
        attrs.iter().filter(|attr| attr.path().is_ident("serde")).filter_map(|attr| match &attr.meta {
            syn::Meta::List(list) => Some(options::arguments(list.tokens.clone())),
            _ => None,
        });
    lists.flatten().collect::<Vec<_>>().into_iter()
}

fn json_name(index: usize, field: &Field, rename_all: Option<&str>) -> String {
    if let Some(renamed) = serde_value(&field.attrs, "rename") {
        return renamed;
    }
    match &field.ident {
        Some(name) => {
            let name = name.to_string();
            crate::rename::field(name.strip_prefix("r#").unwrap_or(&name), rename_all)
        }
        None => index.to_string(),
    }
}

impl EventField {
    /// Where the field's type is.
    pub fn span(&self) -> proc_macro2::Span {
        self.ty.span()
    }
}
