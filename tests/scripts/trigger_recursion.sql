-- Triggers that start themselves end at a thousand levels

-- recursion
PRAGMA recursive_triggers=on;
CREATE TABLE t(a);
CREATE TRIGGER r AFTER INSERT ON t WHEN new.a<990 BEGIN INSERT INTO t VALUES(new.a+1); END;
INSERT INTO t VALUES(1);
SELECT count(*) FROM t;
DELETE FROM t;
INSERT INTO t VALUES(-100);
SELECT count(*) FROM t;
INSERT INTO t VALUES(-8);
SELECT count(*) FROM t;
DELETE FROM t;
INSERT INTO t VALUES(-9);
SELECT count(*) FROM t;
DELETE FROM t;
INSERT INTO t VALUES(-10);
SELECT count(*) FROM t;
DELETE FROM t;
INSERT INTO t VALUES(-11);
SELECT count(*) FROM t;
DELETE FROM t;
INSERT INTO t VALUES(-12);
SELECT count(*) FROM t;
DELETE FROM t;
DROP TABLE t;
DROP TABLE IF EXISTS u;
DROP TABLE IF EXISTS log;

-- generated columns of a row that NOT NULL will refuse
CREATE TABLE t (a INTEGER PRIMARY KEY, b INTEGER NOT NULL, g AS (b * 2 + 1) NOT NULL, h AS (coalesce(g, 'none')));
CREATE TABLE log (a, b, g, h);
CREATE TRIGGER r BEFORE INSERT ON t BEGIN INSERT INTO log VALUES (new.a, new.b, new.g, new.h); END;
CREATE TRIGGER u BEFORE UPDATE ON t BEGIN INSERT INTO log VALUES (new.a, new.b, new.g, new.h); END;
INSERT OR IGNORE INTO t (a, b) VALUES (1, NULL), (2, 5), (3, 6);
UPDATE OR IGNORE t SET b = CASE a WHEN 2 THEN NULL ELSE 7 END;
SELECT * FROM log;
SELECT * FROM t;
