//! How values of mail stand in the columns of a database.

use rusqlite::ToSql;
use rusqlite::types::FromSql;
use rusqlite::types::FromSqlError;
use rusqlite::types::FromSqlResult;
use rusqlite::types::ToSqlOutput;
use rusqlite::types::ValueRef;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::identity::Basis;
use crate::identity::Digest;
use crate::mail::Flag;
use crate::mail::FlagSet;
use crate::mail::Timestamp;
use crate::mail::Uid;
use crate::mail::UidSet;
use crate::state::FolderId;
use crate::state::RunId;

macro_rules! numbers {
    ($($name:ident),+) => {$(
        impl ToSql for $name {
            fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
                Ok(self.0.into())
            }
        }

        impl FromSql for $name {
            fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
                i64::column_result(value).map(Self)
            }
        }
    )+};
}

numbers!(FolderId, RunId);

/// A number of 64 bits without sign. Servers tell sizes and MODSEQ beyond what `SQLite` can hold as
/// a number; such a one is kept exactly, as the negative number of the same bits.
#[derive(Clone, Copy)]
pub(crate) struct Number(pub(crate) u64);

impl ToSql for Number {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.0.cast_signed().into())
    }
}

impl FromSql for Number {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        i64::column_result(value).map(|number| Self(number.cast_unsigned()))
    }
}

impl ToSql for Uid {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.get().into())
    }
}

impl FromSql for Uid {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        Self::new(u32::column_result(value)?).ok_or(FromSqlError::OutOfRange(0))
    }
}

impl ToSql for Timestamp {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.seconds().into())
    }
}

impl FromSql for Timestamp {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        i64::column_result(value).map(Self::from_seconds)
    }
}

impl ToSql for Digest {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.0.as_slice().into())
    }
}

impl FromSql for Digest {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        <[u8; 16]>::column_result(value).map(Self)
    }
}

const BASES: [(Basis, &str); 4] = [
    (Basis::Key, "key"),
    (Basis::Headers, "headers"),
    (Basis::Content, "content"),
    (Basis::Nothing, "nothing"),
];

impl ToSql for Basis {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let word = match self {
            Self::Key => "key",
            Self::Headers => "headers",
            Self::Content => "content",
            Self::Nothing => "nothing",
        };
        Ok(word.into())
    }
}

impl FromSql for Basis {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let text = value.as_str()?;
        let known = BASES.iter().find(|(_, word)| *word == text);
        known.map(|(basis, _)| *basis).ok_or(FromSqlError::InvalidType)
    }
}

/// Blank-separated, in the spelling of commands.
impl ToSql for FlagSet {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.to_string().into())
    }
}

impl FromSql for FlagSet {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let flags = value.as_str()?.split_ascii_whitespace();
        flags
            .map(|flag| Flag::from_wire(flag.as_bytes()).ok_or(FromSqlError::InvalidType))
            .collect()
    }
}

/// As in commands (RFC 9051 §9, `sequence-set`).
impl ToSql for UidSet {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.to_string().into())
    }
}

impl FromSql for UidSet {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value.as_str()?.parse().map_err(|_| FromSqlError::InvalidType)
    }
}

/// A value that no query looks into.
pub(crate) struct Json<T>(pub(crate) T);

impl<T: Serialize> ToSql for Json<T> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        match serde_json::to_string(&self.0) {
            Ok(text) => Ok(text.into()),
            Err(error) => Err(rusqlite::Error::ToSqlConversionFailure(Box::new(error))),
        }
    }
}

impl<T: DeserializeOwned> FromSql for Json<T> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let value = serde_json::from_str(value.as_str()?);
        value.map(Self).map_err(|error| FromSqlError::Other(Box::new(error)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_basis_comes_back_from_its_word() {
        for (basis, word) in BASES {
            let written = basis.to_sql().unwrap();
            assert_eq!(written, word.into());
            assert_eq!(Basis::column_result(ValueRef::Text(word.as_bytes())), Ok(basis));
        }
    }

    #[test]
    fn numbers_above_what_sqlite_holds_are_kept_exactly() {
        for number in [0, 1, u64::MAX, 1 << 63, (1 << 63) - 1] {
            let ToSqlOutput::Owned(rusqlite::types::Value::Integer(stored)) =
                Number(number).to_sql().unwrap()
            else {
                panic!("not a number");
            };
            assert_eq!(Number::column_result(ValueRef::Integer(stored)).unwrap().0, number);
        }
    }

    #[test]
    fn what_is_no_flag_in_a_row_is_a_fault_and_not_left_out() {
        assert!(FlagSet::column_result(ValueRef::Text(b"\\Seen a]b")).is_err());
        let flags = FlagSet::column_result(ValueRef::Text(b"\\Seen $MdnSent")).unwrap();
        assert_eq!(flags.to_string(), "$MdnSent \\Seen");
    }
}
