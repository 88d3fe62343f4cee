-- one_time_clear(user_id uuid) -> ()
-- Codes that links have given out and nobody has exchanged yet are such tokens too; who is exchanging
-- one in this moment waits for the user's row, and asks again for the password.
with gone as (
    delete from auth.one_time_tokens where user_id = $1
), codes as (
    delete from auth.flow_state where id in (
        select id from auth.flow_state
        where user_id = $1 and auth_code_issued_at is not null and code_challenge <> ''
        for update skip locked)
)
update auth.users
set confirmation_token = '', recovery_token = '', reauthentication_token = '',
    email_change_token_new = '', email_change_token_current = '', phone_change_token = ''
where id = $1
    and (confirmation_token <> '' or recovery_token <> '' or reauthentication_token <> ''
        or email_change_token_new <> '' or email_change_token_current <> '' or phone_change_token <> '')
