//! Seeded frames of all shapes, and what can happen to them on the way.

/// A small generator of numbers, the same for a seed for ever (xorshift).
pub struct Generator(pub u64);

impl Generator {
    /// The next number below `limit`.
    pub fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 11) % limit as u64) as usize
    }

    /// One of several.
    pub fn of<'a, T: ?Sized>(&mut self, choices: &[&'a T]) -> &'a T {
        choices[self.below(choices.len())]
    }

    /// A number as text: mostly of one width, sometimes anything.
    pub fn number(&mut self) -> String {
        match self.below(12) {
            0 => self
                .of(&[
                    "0",
                    "0.0",
                    "0.00000000",
                    "00.000",
                    ".0",
                    "0.",
                    "0e5",
                    "0E-8",
                ])
                .to_owned(),
            1 => self
                .of(&[
                    "92233720368.54775807",
                    "92233720368.54775808",
                    "184467440737.09551616",
                    "1e-8",
                    "12E3",
                    ".5",
                    "5.",
                    "99999999999999999999",
                    "100000000000000000000",
                    "1.0000000000000000000000",
                    "0.000000000000000001",
                    "0.0000000000000000001",
                    "1e18",
                    "1e20",
                    "123456789.123456789",
                    "007.5",
                    "1234567890123456.25",
                ])
                .to_owned(),
            2 => self
                .of(&[
                    "",
                    ".",
                    "-1",
                    "+1",
                    "1e",
                    "1.2.3",
                    " 1",
                    "1 ",
                    "inf",
                    "NaN",
                    "1_0",
                    "0x1",
                    "1e999999999999",
                ])
                .to_owned(),
            3 => format!("{}.{}", self.below(100_000), self.below(1000)),
            _ => format!("{}.{:08}", self.below(100_000), self.below(100_000_000)),
        }
    }

    fn side(&mut self) -> String {
        let count = self.below(6);
        let usual = self.below(3) > 0;
        let levels: Vec<String> = (0..count)
            .map(|_| {
                if usual {
                    format!(
                        "[\"{}.{:08}\",\"{}.{:08}\"]",
                        1 + self.below(90_000),
                        self.below(100_000_000),
                        self.below(9),
                        self.below(2)
                    )
                } else {
                    format!("[\"{}\",\"{}\"]", self.number(), self.number())
                }
            })
            .collect();
        format!("[{}]", levels.join(","))
    }

    /// The keys of a diff, mostly all and in order.
    pub fn payload(&mut self) -> String {
        let first = self.below(1000);
        let mut keys = vec![
            format!(
                "\"e\":{}",
                self.of(&[
                    "\"depthUpdate\"",
                    "\"depthUpdate\"",
                    "\"depthUpdate\"",
                    "\"trade\"",
                    "1"
                ])
            ),
            format!(
                "\"E\":{}",
                self.of(&["1723161255208", "1723161255208123", "0", "1.5", "\"1\""])
            ),
            "\"s\":\"BTCUSDT\"".to_owned(),
            format!("\"U\":{first}"),
            format!("\"u\":{}", first + self.below(5)),
        ];
        if self.below(2) == 0 {
            keys.push(format!(
                "\"pu\":{}",
                self.of(&[
                    "7",
                    "null",
                    "9223372036854775807",
                    "9223372036854775808",
                    "-1"
                ])
            ));
        }
        keys.push(format!("\"b\":{}", self.side()));
        keys.push(format!("\"a\":{}", self.side()));
        match self.below(8) {
            0 => keys.push("\"st\":1".to_owned()),
            1 => keys.push("\"x\":{\"y\":[1,-2.5e3,true,null,\"\\u5e01\\n\"]}".to_owned()),
            2 => keys.push(keys[self.below(keys.len())].clone()),
            3 => {
                let at = self.below(keys.len());
                keys.remove(at);
            }
            4 => {
                let (one, other) = (self.below(keys.len()), self.below(keys.len()));
                keys.swap(one, other);
            }
            5 => {
                keys[2] = self
                    .of(&[
                        "\"s\":\"币安人生USDT\"",
                        "\"s\":\"\\u0042TC\"",
                        "\"s\":\"\"",
                        "\"s\":\"\\ud800\"",
                    ])
                    .to_owned()
            }
            _ => {}
        }
        format!("{{{}}}", keys.join(","))
    }

    /// A whole frame: raw, wrapped, or wrapped strangely.
    pub fn frame(&mut self) -> Vec<u8> {
        let payload = self.payload();
        let stream = self.of(&[
            "btcusdt@depth@100ms",
            "btcusdt@depth",
            "btcusdt@depth20@100ms",
            "btcusdt@rpiDepth@500ms",
            "a@b",
            "x",
        ]);
        match self.below(6) {
            0 => payload,
            1 => format!("{{\"data\":{payload},\"stream\":\"{stream}\"}}"),
            2 => format!(" {{ \"stream\" : \"{stream}\" , \"extra\":[], \"data\" : {payload} }}\n"),
            3 => format!("{{\"stream\":7,\"data\":{payload}}}"),
            _ => format!("{{\"stream\":\"{stream}\",\"data\":{payload}}}"),
        }
        .into_bytes()
    }

    /// A snapshot.
    pub fn snapshot(&mut self) -> Vec<u8> {
        let (bids, asks) = (self.side(), self.side());
        let id = self.of(&["1", "50093239218", "1.0", "\"1\"", "9223372036854775808"]);
        match self.below(4) {
            0 => format!("{{\"lastUpdateId\":{id},\"E\":1723161255208,\"T\":1,\"bids\":{bids},\"asks\":{asks}}}"),
            1 => format!("{{\"bids\": {bids}, \"asks\": {asks}, \"lastUpdateId\": {id}}}"),
            _ => format!("{{\"lastUpdateId\":{id},\"bids\":{bids},\"asks\":{asks}}}"),
        }
        .into_bytes()
    }

    /// Change a byte or a few: another value, one more, one less, a cut.
    pub fn spoil(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..1 + self.below(3) {
            if bytes.is_empty() {
                return;
            }
            let at = self.below(bytes.len());
            let letter = b"\"[]{},:.0129eE-+\\ua \n\xff\xc3\x1f"[self.below(24)];
            match self.below(5) {
                0 => bytes[at] = letter,
                1 => bytes.insert(at, letter),
                2 => {
                    bytes.remove(at);
                }
                3 => bytes[at] ^= 1 << self.below(8),
                _ => bytes.truncate(at),
            }
        }
    }
}
