//! Make text from peers one printable line of limited length.

use std::fmt::Write as _;

/// Most characters of a reason, because peers write parts of it.
const LONGEST: usize = 300;

/// Text of a peer as one printable line of limited length. Terminal escapes, line breaks that could forge log
/// lines, and marks that change the reading direction become visible escapes. User and password of a URL are
/// removed. `depthcache.foreign_text.clean` does the same for the other networks.
pub fn clean(text: &str) -> String {
    let (line, _) = visible(text, 4 * LONGEST);
    let line = without_credentials(line.trim());
    let whole = text.chars().count();
    if line.chars().count() <= LONGEST && whole <= 4 * LONGEST {
        return line;
    }
    let mark = format!("… ({whole} characters)");
    let kept = LONGEST - mark.chars().count();
    line.chars().take(kept).collect::<String>() + &mark
}

/// The first `most` characters or so of a peer's text, as one printable line.
pub fn quoted(text: &str, most: usize) -> String {
    let (mut line, is_whole) = visible(text.trim(), most);
    if !is_whole {
        line.push('…');
    }
    line
}

/// One printable line of at most `most` characters, and whether that is all of the text. Runs of white space
/// become one space; controls, direction marks and line separators become visible escapes.
fn visible(text: &str, most: usize) -> (String, bool) {
    let mut line = String::with_capacity(text.len().min(4 * most));
    let mut characters = 0;
    for letter in text.chars() {
        if characters >= most {
            return (line, false);
        }
        if letter.is_ascii_whitespace() || letter == '\u{b}' {
            if line.ends_with(' ') {
                continue;
            }
            line.push(' ');
            characters += 1;
            continue;
        }
        let before = line.len();
        push_visible(&mut line, letter);
        characters += line[before..].chars().count();
    }
    (line, true)
}

fn push_visible(line: &mut String, letter: char) {
    let prints = matches!(letter, '\'' | '"' | '\\') || letter.escape_debug().len() == 1;
    let _ = match u32::from(letter) {
        _ if prints => line.write_char(letter),
        code @ ..0x100 => write!(line, "\\x{code:02x}"),
        code @ ..0x1_0000 => write!(line, "\\u{code:04x}"),
        code => write!(line, "\\U{code:08x}"),
    };
}

fn without_credentials(line: &str) -> String {
    let mut kept = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.find("://") {
        let (before, host) = rest.split_at(at + 3);
        let end = host.find(|letter: char| " /?#'\"<>".contains(letter));
        let user = host[..end.unwrap_or(host.len())].rfind('@');
        kept.push_str(before);
        rest = match user {
            Some(user) => {
                kept.push('…');
                &host[user..]
            }
            None => host,
        };
    }
    kept + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_print_is_shown_as_what_it_is() {
        let text = "a\u{1b}[2J\r\n\tb\u{85}\u{9b}\u{202e}\u{2028}\u{7f}\0c\u{e0001} \"d\" \\ 币安";
        let line = "a\\x1b[2J b\\x85\\x9b\\u202e\\u2028\\x7f\\x00c\\U000e0001 \"d\" \\ 币安";
        assert_eq!(clean(text), line);
        assert_eq!(quoted(text, 100), line);
        assert_eq!(quoted(line, 100), line);
    }

    #[test]
    fn a_long_text_is_cut_and_says_so_and_a_clean_one_stays() {
        let cut = clean(&"x".repeat(60_000));
        assert_eq!(cut.chars().count(), LONGEST);
        assert!(cut.ends_with("x… (60000 characters)"));
        assert_eq!(clean(&cut), cut);
        assert_eq!(quoted("币安人生", 2), "币安…");
        let long = "\u{1b}".repeat(1_000_000);
        assert!(quoted(&long, 300).chars().count() <= 304);
    }

    #[test]
    fn users_and_passwords_are_left_out() {
        let text =
            "redirected to http://us@er:secret@evil/a@b, via ws://b:c@d and http://plain/x@y";
        assert_eq!(
            clean(text),
            "redirected to http://…@evil/a@b, via ws://…@d and http://plain/x@y"
        );
    }
}
