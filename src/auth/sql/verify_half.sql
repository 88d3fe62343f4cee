-- verify_half(id uuid, kind text) -> ()
update auth.users
set email_change_confirm_status = 1,
    email_change_token_new = case when $2 = 'email_change_token_new' then '' else email_change_token_new end,
    email_change_token_current = case when $2 = 'email_change_token_current' then '' else email_change_token_current end,
    updated_at = now()
where id = $1
