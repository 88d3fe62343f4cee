-- one_time_clear(user_id uuid) -> ()
with gone as (
    delete from auth.one_time_tokens where user_id = $1
)
update auth.users
set confirmation_token = '', recovery_token = '', reauthentication_token = '',
    email_change_token_new = '', email_change_token_current = '', phone_change_token = ''
where id = $1
    and (confirmation_token <> '' or recovery_token <> '' or reauthentication_token <> ''
        or email_change_token_new <> '' or email_change_token_current <> '' or phone_change_token <> '')
