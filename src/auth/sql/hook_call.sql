-- hook_call(schema_name text, function_name text, input jsonb) -> (answer text?)
select basalt.hook_call($1, $2, $3) as answer
