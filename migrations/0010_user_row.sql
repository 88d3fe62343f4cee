-- SPDX-License-Identifier: Apache-2.0
--
-- basalt.user_row: a user as GoTrue's API shows one (auth.md §1.1), the one place that words it. The
-- scalar members before and after the metadata come as JSON without nulls, in GoTrue's order;
-- metadata, factors and identities are columns of their own because nulls inside them stay.

CREATE FUNCTION basalt.rfc3339(at timestamptz) RETURNS text
    LANGUAGE sql STABLE
    AS $$ SELECT to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') $$;

CREATE VIEW basalt.user_row AS
SELECT
    u.id,
    u.instance_id,
    coalesce(u.aud, '') AS aud,
    coalesce(u.role, '') AS role,
    u.email, -- bare, so that the index on lower(email) serves
    u.phone,
    coalesce(u.encrypted_password, '') AS encrypted_password,
    u.email_confirmed_at,
    u.phone_confirmed_at,
    u.banned_until,
    u.deleted_at,
    u.is_anonymous,
    u.is_sso_user,
    u.created_at,
    coalesce(u.raw_app_meta_data, '{}') AS app_metadata,
    coalesce(u.raw_user_meta_data, '{}') AS user_metadata,
    json_strip_nulls(json_build_object(
        'id', u.id,
        'aud', coalesce(u.aud, ''),
        'role', coalesce(u.role, ''),
        'email', coalesce(u.email, ''),
        'email_confirmed_at', basalt.rfc3339(u.email_confirmed_at),
        'invited_at', basalt.rfc3339(u.invited_at),
        'phone', coalesce(u.phone, ''),
        'phone_confirmed_at', basalt.rfc3339(u.phone_confirmed_at),
        'confirmation_sent_at', basalt.rfc3339(u.confirmation_sent_at),
        'confirmed_at', basalt.rfc3339(u.confirmed_at),
        'recovery_sent_at', basalt.rfc3339(u.recovery_sent_at),
        'new_email', nullif(u.email_change, ''),
        'email_change_sent_at', basalt.rfc3339(u.email_change_sent_at),
        'new_phone', nullif(u.phone_change, ''),
        'phone_change_sent_at', basalt.rfc3339(u.phone_change_sent_at),
        'reauthentication_sent_at', basalt.rfc3339(u.reauthentication_sent_at),
        'last_sign_in_at', basalt.rfc3339(u.last_sign_in_at)
    )) AS head,
    (
        SELECT json_agg(json_strip_nulls(json_build_object(
            'id', f.id,
            'created_at', basalt.rfc3339(f.created_at),
            'updated_at', basalt.rfc3339(f.updated_at),
            'status', f.status,
            'friendly_name', nullif(f.friendly_name, ''),
            'factor_type', f.factor_type,
            'phone', f.phone,
            'last_challenged_at', basalt.rfc3339(f.last_challenged_at)
        )) ORDER BY f.created_at)
        FROM auth.mfa_factors f
        WHERE f.user_id = u.id
    ) AS factors,
    coalesce((
        SELECT json_agg(
            jsonb_strip_nulls(jsonb_build_object(
                'identity_id', i.id,
                'id', i.provider_id,
                'user_id', i.user_id,
                'provider', i.provider,
                'last_sign_in_at', basalt.rfc3339(i.last_sign_in_at),
                'created_at', basalt.rfc3339(i.created_at),
                'updated_at', basalt.rfc3339(i.updated_at),
                'email', i.email
            )) || jsonb_build_object('identity_data', i.identity_data)
            ORDER BY i.created_at, i.id)
        FROM auth.identities i
        WHERE i.user_id = u.id
    ), '[]') AS identities,
    json_strip_nulls(json_build_object(
        'created_at', basalt.rfc3339(u.created_at),
        'updated_at', basalt.rfc3339(u.updated_at),
        'banned_until', basalt.rfc3339(u.banned_until),
        'deleted_at', basalt.rfc3339(u.deleted_at),
        'is_anonymous', u.is_anonymous
    )) AS tail
FROM auth.users u;

DO $rights$
DECLARE
    v16 boolean := current_setting('server_version_num')::int >= 160000;
BEGIN
    -- A view reads with its owner's rights, and auth's tables are supabase_auth_admin's.
    IF pg_has_role('supabase_auth_admin', CASE WHEN v16 THEN 'SET' ELSE 'MEMBER' END) THEN
        GRANT CREATE ON SCHEMA basalt TO supabase_auth_admin;
        ALTER VIEW basalt.user_row OWNER TO supabase_auth_admin;
        REVOKE CREATE ON SCHEMA basalt FROM supabase_auth_admin;
    ELSE
        GRANT SELECT ON basalt.user_row TO supabase_auth_admin;
    END IF;
END
$rights$;
