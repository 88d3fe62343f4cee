-- user_email_plan(id uuid, email text) -> ()
-- As user_email_ask, but the token of the other address stays while it is for the same wish: an
-- administrator makes the two links one after the other.
with gone as (
    delete from auth.one_time_tokens t
    using auth.users u
    where t.user_id = $1 and u.id = $1 and u.email_change is distinct from $2
        and t.token_type in ('email_change_token_new', 'email_change_token_current')
)
update auth.users u
set email_change = $2,
    email_change_token_new = case when u.email_change = $2 then u.email_change_token_new else '' end,
    email_change_token_current = case when u.email_change = $2 then u.email_change_token_current else '' end,
    email_change_confirm_status = 0,
    updated_at = now()
where u.id = $1
