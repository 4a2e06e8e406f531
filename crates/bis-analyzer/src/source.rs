//! Paths and places: a file's name as diagnostics show it, and byte offsets as lines and columns.

use std::{
    ops::Range,
    path::{Component, Path},
    sync::Arc,
};

use bis_graph::Position;

/// `path` relative to `dir`, with `/` between its parts; with `..` where it lies outside.
pub(crate) fn relative(dir: &Path, path: &Path) -> Arc<str> {
    let dir: Vec<Component<'_>> = dir.components().collect();
    let path: Vec<Component<'_>> = path.components().collect();
    let common = dir.iter().zip(&path).take_while(|(a, b)| a == b).count();
    if common == 0 {
        let whole: std::path::PathBuf = path.iter().collect();
        return whole.to_string_lossy().into();
    }
    let up = std::iter::repeat_n("..".to_owned(), dir.len() - common);
    let down = path[common..].iter().map(|part| part.as_os_str().to_string_lossy().into_owned());
    up.chain(down).collect::<Vec<_>>().join("/").into()
}

/// The position of bytes in a text.
pub(crate) fn position_of_bytes(file: &Arc<str>, text: &str, bytes: Range<usize>) -> Position {
    let place = |offset: usize| {
        let before = &text.as_bytes()[..offset.min(text.len())];
        let line = before.iter().filter(|byte| **byte == b'\n').count();
        let start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let column = String::from_utf8_lossy(&before[start..]).chars().count();
        (u32::try_from(line + 1).unwrap_or(u32::MAX), u32::try_from(column + 1).unwrap_or(u32::MAX))
    };
    let (line, column) = place(bytes.start);
    let (end_line, end_column) = place(bytes.end.max(bytes.start + 1));
    Position { file: Arc::clone(file), line, column, end_line, end_column }
}
