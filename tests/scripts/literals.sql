-- Literals that are not what they seem

-- hexadecimal integers
SELECT 0x00000000000000000000ff, 0xffffffffffffffff, 0x8000000000000000, 0X7fffffffffffffff;
SELECT 0x10000000000000000;
SELECT 1 WHERE 0x0000123456789abcdef01 > 0;

-- a text as the name of a column
SELECT 'a' 'b';
SELECT 'a' 'b', 1 'c';
SELECT * FROM (SELECT 'a' 'b') WHERE b = 'a';
