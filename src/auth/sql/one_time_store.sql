-- one_time_store(user_id uuid, kind text, token text, relates_to text) -> ()
with told as (
    update auth.users
    set confirmation_token = case when $2 = 'confirmation_token' then $3 else confirmation_token end,
        confirmation_sent_at = case when $2 = 'confirmation_token' then now() else confirmation_sent_at end,
        recovery_token = case when $2 = 'recovery_token' then $3 else recovery_token end,
        recovery_sent_at = case when $2 = 'recovery_token' then now() else recovery_sent_at end,
        reauthentication_token = case when $2 = 'reauthentication_token' then $3 else reauthentication_token end,
        reauthentication_sent_at = case when $2 = 'reauthentication_token' then now() else reauthentication_sent_at end,
        email_change_token_new = case when $2 = 'email_change_token_new' then $3 else email_change_token_new end,
        email_change_token_current = case when $2 = 'email_change_token_current' then $3 else email_change_token_current end,
        email_change_sent_at = case when $2 like 'email_change%' then now() else email_change_sent_at end,
        updated_at = now()
    where id = $1
    returning id
)
insert into auth.one_time_tokens (id, user_id, token_type, token_hash, relates_to, created_at, updated_at)
select gen_random_uuid(), id, $2::auth.one_time_token_type, $3, $4, now(), now() from told
on conflict (user_id, token_type) do update
set token_hash = excluded.token_hash, relates_to = excluded.relates_to, created_at = excluded.created_at, updated_at = excluded.updated_at
