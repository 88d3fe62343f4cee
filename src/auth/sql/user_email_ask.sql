-- user_email_ask(id uuid, email text) -> ()
-- The address they want; the tokens for it are stored behind this, and those of an earlier wish are void.
with gone as (
    delete from auth.one_time_tokens
    where user_id = $1 and token_type in ('email_change_token_new', 'email_change_token_current')
)
update auth.users
set email_change = $2,
    email_change_token_new = '',
    email_change_token_current = '',
    email_change_confirm_status = 0,
    updated_at = now()
where id = $1
