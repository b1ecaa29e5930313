"""Every limit on a record, in one place. Bytes are of UTF-8; what exceeds a limit is refused with its path."""

from ledger.core.canonical import MAX_DEPTH, MAX_INTEGER

MAX_RECORD_BYTES = 8 * 1024 * 1024  # one submitted record, contents included
MAX_CONTENT_BYTES = 1024 * 1024  # one content; a longer one is submitted as its commitment
MAX_FACT_CHARACTERS = 4096  # one text fact
MAX_ID_CHARACTERS = 200
MAX_NAME_CHARACTERS = 128  # types, enumerated codes, keys
MAX_PERSON_CHARACTERS = 512  # a person's identifier
MAX_LIST_ITEMS = 256  # scopes, actors, derived_from
MAX_EXT_MEMBERS = 64
MAX_EXT_BYTES = 128 * 1024  # as it was sent, with its escapes and spaces; within an entry it has less
MAX_COUNT = MAX_INTEGER  # any whole number: what every JSON reader keeps exactly
EXT_DEPTH = MAX_DEPTH - 2  # `ext` stands two levels down in its entry
BODY_RECORDS = 10_000  # records in one request
BODY_BYTES = 32 * 1024 * 1024  # one request, decompressed
