-- SPDX-License-Identifier: Apache-2.0
--
-- basalt.user_row gives plain columns, and the server words the User object from them: building and
-- stripping the JSON of the scalars in SQL, and sorting one identity, were most of reading a user.
-- head and tail stay for the release before; a column that nobody asks for costs nothing.

CREATE OR REPLACE VIEW basalt.user_row AS
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
        )))
        FROM (
            SELECT * FROM auth.mfa_factors f WHERE f.user_id = u.id ORDER BY f.created_at -- by the index
        ) f
    ) AS factors,
    -- In no order, as GoTrue's. Nulls inside identity_data stay, so it is not stripped with the rest.
    coalesce((
        SELECT json_agg(
            CASE WHEN i.email IS NULL OR i.last_sign_in_at IS NULL OR i.created_at IS NULL OR i.updated_at IS NULL THEN
                (jsonb_strip_nulls(jsonb_build_object(
                    'identity_id', i.id,
                    'id', i.provider_id,
                    'user_id', i.user_id,
                    'provider', i.provider,
                    'last_sign_in_at', basalt.rfc3339(i.last_sign_in_at),
                    'created_at', basalt.rfc3339(i.created_at),
                    'updated_at', basalt.rfc3339(i.updated_at),
                    'email', i.email
                )) || jsonb_build_object('identity_data', i.identity_data))::json
            ELSE
                json_build_object(
                    'identity_id', i.id,
                    'id', i.provider_id,
                    'user_id', i.user_id,
                    'identity_data', i.identity_data,
                    'provider', i.provider,
                    'last_sign_in_at', basalt.rfc3339(i.last_sign_in_at),
                    'created_at', basalt.rfc3339(i.created_at),
                    'updated_at', basalt.rfc3339(i.updated_at),
                    'email', i.email
                )
            END)
        FROM auth.identities i
        WHERE i.user_id = u.id
    ), '[]') AS identities,
    json_strip_nulls(json_build_object(
        'created_at', basalt.rfc3339(u.created_at),
        'updated_at', basalt.rfc3339(u.updated_at),
        'banned_until', basalt.rfc3339(u.banned_until),
        'deleted_at', basalt.rfc3339(u.deleted_at),
        'is_anonymous', u.is_anonymous
    )) AS tail,
    u.invited_at,
    u.confirmation_sent_at,
    u.recovery_sent_at,
    coalesce(u.email_change, '') AS email_change,
    u.email_change_sent_at,
    coalesce(u.phone_change, '') AS phone_change,
    u.phone_change_sent_at,
    u.reauthentication_sent_at,
    u.last_sign_in_at,
    u.updated_at
FROM auth.users u;
