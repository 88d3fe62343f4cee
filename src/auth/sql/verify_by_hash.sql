-- verify_by_hash(token_hash text, kinds text) -> (id uuid, kind text, email text, email_change text, encrypted_password text,
--   half_done boolean, invited boolean, sent_at timestamptz?, banned_until timestamptz?, confirmed boolean, token_hash text)
-- kinds: names of auth.one_time_token_type, separated by commas. The address that the token was sent to must
-- still be the user's, or of a change the one that they want.
select u.id, t.token_type::text, coalesce(u.email, ''), coalesce(u.email_change, ''), coalesce(u.encrypted_password, ''),
    coalesce(u.email_change_confirm_status, 0) = 1, u.invited_at is not null,
    case t.token_type
        when 'confirmation_token' then u.confirmation_sent_at
        when 'recovery_token' then u.recovery_sent_at
        else u.email_change_sent_at
    end,
    u.banned_until, u.email_confirmed_at is not null, t.token_hash
from auth.one_time_tokens t
join auth.users u on u.id = t.user_id
where t.token_hash = $1
    and t.token_type::text = any (string_to_array($2, ','))
    and t.relates_to = lower(case t.token_type when 'email_change_token_new' then u.email_change else u.email end)
    and u.instance_id = '00000000-0000-0000-0000-000000000000'
    and u.deleted_at is null
limit 1
for update of u
