"""The web application: a person uploads pictures and reads their classes; programs ask by JSON.

Entry: `command` (`python -m darkroom serve`). `options` has what it is told, `models` a served
classifier, `decoder` the processes that decode pictures, `service` these two together. `uploads`
reads a request, `pages` and `api` answer it, `openapi` describes the latter, `middleware` guards and
logs. `site` sets Django up, `server` listens. `page/` has the templates, the style and the script.

Reads what `predict` reads: a data set's results, or a trained model by its file. Writes nothing but
a secret key; pictures stay in memory.
"""
