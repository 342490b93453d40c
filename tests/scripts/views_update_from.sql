-- UPDATE ... FROM of a view

CREATE TABLE t (a INTEGER PRIMARY KEY, b);
CREATE VIEW v AS SELECT a, b FROM t;
CREATE TRIGGER u INSTEAD OF UPDATE ON v BEGIN UPDATE t SET b = new.b WHERE a = old.a; END;
INSERT INTO t VALUES (1, 1), (2, 2), (3, 3);
CREATE TABLE s (k, val);
INSERT INTO s VALUES (1, 7), (3, 8), (9, 9);
UPDATE v SET b = s.val FROM s WHERE s.k = v.a;
SELECT * FROM t;
UPDATE v SET b = v.b + x.val FROM (SELECT k, val * 10 AS val FROM s) AS x WHERE x.k = v.a;
SELECT * FROM t;
UPDATE v AS w SET b = 0 FROM s JOIN t ON t.a = s.k WHERE w.a = t.a;
SELECT * FROM t;
