"""CRC-32C and CRC-64/NVME, which the standard library lacks, fast enough for uploads without a compiled module.

The body is seen as rows of 1,024 bytes. All rows advance together, one column a step, each step a handful of
`bytes.translate` and exclusive-ors over whole columns, which run at memory speed. Then the rows' remainders are joined:
appending 1,024 zero bytes is a linear map of the remainder, kept as tables.
"""

from functools import cache

from msgspec import Struct

_ROW_BYTES = 1024
# Below this many rows, stepping byte by byte costs less.
_ROWS_MIN = 8


class Polynomial(Struct, frozen=True):
    """A reflected CRC whose register begins and is delivered inverted; `bits` is a multiple of eight."""

    reflected: int
    bits: int

    @property
    def mask(self) -> int:
        """The register with all bits set."""
        return (1 << self.bits) - 1


CRC32C = Polynomial(0x82F63B78, 32)
CRC64NVME = Polynomial(0x9A6C9329AC4BC9B5, 64)


def crc_of(polynomial: Polynomial, data: bytes, value: int = 0) -> int:
    """Return the CRC of `data`, continuing from the CRC of what came before it."""
    register = value ^ polynomial.mask
    rows = len(data) // _ROW_BYTES
    if rows >= _ROWS_MIN:
        for remainder in _row_remainders(polynomial, data, rows):
            register = _append_row_of_zeros(polynomial, register) ^ remainder
        data = data[rows * _ROW_BYTES :]
    table = _byte_table(polynomial)
    for byte in data:
        register = table[(register ^ byte) & 0xFF] ^ (register >> 8)
    return register ^ polynomial.mask


def _row_remainders(polynomial: Polynomial, data: bytes, rows: int) -> list[int]:
    """Return each row's remainder, from a register of zero."""
    width = polynomial.bits // 8
    tables = _translate_tables(polynomial)
    block = data[: rows * _ROW_BYTES]
    # One big number for each byte of the register, holding that byte for all rows; the lowest first.
    lanes = [0] * width
    for column in range(_ROW_BYTES):
        index = (lanes[0] ^ int.from_bytes(block[column::_ROW_BYTES])).to_bytes(rows)
        shifted = [*lanes[1:], 0]
        lanes = [old ^ int.from_bytes(index.translate(table)) for old, table in zip(shifted, tables, strict=True)]
    columns = [lane.to_bytes(rows) for lane in lanes]
    return [int.from_bytes(bytes(parts), "little") for parts in zip(*columns, strict=True)]


@cache
def _byte_table(polynomial: Polynomial) -> tuple[int, ...]:
    table: list[int] = []
    for byte in range(256):
        register = byte
        for _ in range(8):
            register = (register >> 1) ^ (polynomial.reflected if register & 1 else 0)
        table.append(register)
    return tuple(table)


@cache
def _translate_tables(polynomial: Polynomial) -> tuple[bytes, ...]:
    """Return the byte table split into one `bytes.translate` table for each byte of the register."""
    table = _byte_table(polynomial)
    return tuple(bytes(entry >> 8 * lane & 0xFF for entry in table) for lane in range(polynomial.bits // 8))


def _append_row_of_zeros(polynomial: Polynomial, register: int) -> int:
    result = 0
    for table in _zero_row_tables(polynomial):
        result ^= table[register & 0xFF]
        register >>= 8
    return result


@cache
def _zero_row_tables(polynomial: Polynomial) -> tuple[tuple[int, ...], ...]:
    """Return the map of a register over a row of zeros, as a table for each of its bytes."""
    byte_table = _byte_table(polynomial)

    def advance(register: int) -> int:
        for _ in range(_ROW_BYTES):
            register = byte_table[register & 0xFF] ^ (register >> 8)
        return register

    images = [advance(1 << bit) for bit in range(polynomial.bits)]
    tables: list[tuple[int, ...]] = []
    for lane in range(polynomial.bits // 8):
        table = [0] * 256
        for byte in range(256):
            for bit in range(8):
                if byte >> bit & 1:
                    table[byte] ^= images[lane * 8 + bit]
        tables.append(tuple(table))
    return tuple(tables)
