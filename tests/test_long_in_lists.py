"""IN lists that are long enough to be taken as one list of parameters, where a seek of one branch of an OR is a function."""

import zodbapi

LONG = 40


def test_long_lists_in_the_branches_of_an_or() -> None:
    connection = zodbapi.connect(":memory:", autocommit=True)
    connection.execute(
        "CREATE TABLE kind (id INTEGER PRIMARY KEY, app TEXT NOT NULL, model TEXT NOT NULL, UNIQUE (app, model))"
    )
    for number in range(30):
        connection.execute("INSERT INTO kind (app, model) VALUES (?, ?)", (f"a{number % 5}", f"m{number}"))
    models = [f"m{number}" for number in range(LONG)]
    marks = ", ".join("?" * LONG)
    sql = f"SELECT id FROM kind WHERE (app = ? AND model IN ({marks})) OR (app = ? AND model IN ({marks})) ORDER BY id"
    found = connection.execute(sql, ("a1", *models, "a2", *models)).fetchall()
    assert found == [(number + 1,) for number in range(30) if number % 5 in (1, 2)]
    connection.close()
