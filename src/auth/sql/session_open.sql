-- session_open(user_id uuid, encrypted_password text, session_id uuid, refresh_token text?,
--   user_agent text?, ip inet?, method text, new_hash text?, unconfirmed_may boolean, hmac_key text?) -> (session_id uuid)
-- A refresh token of version 1 is a row; one of version 2 is the session's key and counter.
-- What the caller read before the hash is a condition of the write: no row means that the user has
-- changed since, and the caller starts over. Locking the user row first is what makes a password
-- change that waits for us see, and delete, the session made here.
with owner as (
    update auth.users
    set last_sign_in_at = now(), updated_at = now(), encrypted_password = coalesce($8, encrypted_password)
    where id = $1
        and coalesce(encrypted_password, '') = $2
        and deleted_at is null
        and (banned_until is null or banned_until <= now())
        and ($9 or is_anonymous or email_confirmed_at is not null)
    returning id
), opened as (
    insert into auth.sessions (id, user_id, created_at, updated_at, aal, user_agent, ip, refresh_token_hmac_key,
        refresh_token_counter)
    select $3, id, now(), now(), 'aal1', $5, $6, $10, case when $10 is not null then 0 end from owner
    returning id, user_id
), claimed as (
    insert into auth.mfa_amr_claims (id, session_id, created_at, updated_at, authentication_method)
    select gen_random_uuid(), id, now(), now(), $7 from opened
), given as (
    insert into auth.refresh_tokens (instance_id, token, user_id, revoked, created_at, updated_at, session_id)
    select '00000000-0000-0000-0000-000000000000', $4, user_id::text, false, now(), now(), id
    from opened
    where $4 is not null
)
select id from opened
