//! Catalogues of fixed texts. Every entry has both languages, so a missing translation does not
//! compile.

/// Declares `struct Words` with one text per entry, and `fn words(lang)` that gives the catalogue.
macro_rules! words {
    ($($name:ident: $en:literal, $zh:literal;)*) => {
        /// The fixed texts of the page.
        #[derive(Debug)]
        pub(super) struct Words {
            $(pub(super) $name: &'static str,)*
        }

        /// The texts in a language.
        pub(super) fn words(lang: $crate::http::page::Lang) -> &'static Words {
            static EN: Words = Words { $($name: $en,)* };
            static ZH: Words = Words { $($name: $zh,)* };
            lang.pick(&EN, &ZH)
        }
    };
}

pub(super) use words;
