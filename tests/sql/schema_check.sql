-- SPDX-License-Identifier: Apache-2.0
--
-- What the migrations promise, checked on a freshly migrated database:
--
--   psql -X -v ON_ERROR_STOP=1 -U supabase_admin -d <database> -f tests/sql/schema_check.sql
--
-- Raises at the first mismatch and names it; everything is rolled back. Part 1 compares schema `auth`
-- with the one that Supabase Auth's own migrations make (spec auth.md §4.1), part 2 roles and
-- rights, part 3 what functions, policies and triggers do.

BEGIN;
SET LOCAL search_path = pg_catalog; -- so that definitions below are spelled in full
SET LOCAL client_min_messages = warning;

CREATE FUNCTION pg_temp.check_that(what text, holds boolean) RETURNS void LANGUAGE plpgsql AS $f$
BEGIN
    IF holds IS NOT TRUE THEN
        RAISE EXCEPTION 'schema check failed: %', what;
    END IF;
END
$f$;

-- The SQLSTATE with which `statement` ends when `who` runs it, 00000 for success.
CREATE FUNCTION pg_temp.outcome(who text, statement text) RETURNS text LANGUAGE plpgsql AS $f$
BEGIN
    EXECUTE format('SET LOCAL ROLE %I', who);
    EXECUTE statement;
    RESET ROLE;
    RETURN '00000';
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE; -- the role is rolled back with the block
END
$f$;

CREATE FUNCTION pg_temp.expect(who text, statement text, wanted text) RETURNS void LANGUAGE plpgsql AS $f$
DECLARE
    got CONSTANT text := pg_temp.outcome(who, statement);
BEGIN
    PERFORM pg_temp.check_that(format('%s: %s: wanted %s, got %s', who, statement, wanted, got),
                               got = wanted);
END
$f$;

-- ---- part 1: schema auth, object for object ---------------------------------------------------

CREATE TEMP TABLE expected (kind text, line text);
CREATE TEMP TABLE found (kind text, line text);

INSERT INTO expected (kind, line) VALUES
    ('enum', 'aal_level aal1 aal2 aal3'),
    ('enum', 'code_challenge_method s256 plain'),
    ('enum', 'factor_status unverified verified'),
    ('enum', 'factor_type totp webauthn phone'),
    ('enum', 'oauth_authorization_status pending approved denied expired'),
    ('enum', 'oauth_client_type public confidential'),
    ('enum', 'oauth_registration_type dynamic manual'),
    ('enum', 'oauth_response_type code'),
    ('enum', 'one_time_token_type confirmation_token reauthentication_token recovery_token email_change_token_new email_change_token_current phone_change_token');

INSERT INTO found (kind, line)
    SELECT 'enum', t.typname || ' ' || string_agg(e.enumlabel, ' ' ORDER BY e.enumsortorder)
    FROM pg_type t JOIN pg_enum e ON e.enumtypid = t.oid
    WHERE t.typnamespace = 'auth'::regnamespace GROUP BY t.typname;

INSERT INTO expected (kind, line) VALUES
    ('column', 'audit_log_entries.instance_id uuid'),
    ('column', 'audit_log_entries.id uuid NOT NULL'),
    ('column', 'audit_log_entries.payload json'),
    ('column', 'audit_log_entries.created_at timestamp with time zone'),
    ('column', 'audit_log_entries.ip_address character varying(64) NOT NULL DEFAULT ''''::character varying'),
    ('column', 'custom_oauth_providers.id uuid NOT NULL DEFAULT gen_random_uuid()'),
    ('column', 'custom_oauth_providers.provider_type text NOT NULL'),
    ('column', 'custom_oauth_providers.identifier text NOT NULL'),
    ('column', 'custom_oauth_providers.name text NOT NULL'),
    ('column', 'custom_oauth_providers.client_id text NOT NULL'),
    ('column', 'custom_oauth_providers.client_secret text NOT NULL'),
    ('column', 'custom_oauth_providers.acceptable_client_ids text[] NOT NULL DEFAULT ''{}''::text[]'),
    ('column', 'custom_oauth_providers.scopes text[] NOT NULL DEFAULT ''{}''::text[]'),
    ('column', 'custom_oauth_providers.pkce_enabled boolean NOT NULL DEFAULT true'),
    ('column', 'custom_oauth_providers.attribute_mapping jsonb NOT NULL DEFAULT ''{}''::jsonb'),
    ('column', 'custom_oauth_providers.authorization_params jsonb NOT NULL DEFAULT ''{}''::jsonb'),
    ('column', 'custom_oauth_providers.enabled boolean NOT NULL DEFAULT true'),
    ('column', 'custom_oauth_providers.email_optional boolean NOT NULL DEFAULT false'),
    ('column', 'custom_oauth_providers.issuer text'),
    ('column', 'custom_oauth_providers.discovery_url text'),
    ('column', 'custom_oauth_providers.skip_nonce_check boolean NOT NULL DEFAULT false'),
    ('column', 'custom_oauth_providers.cached_discovery jsonb'),
    ('column', 'custom_oauth_providers.discovery_cached_at timestamp with time zone'),
    ('column', 'custom_oauth_providers.authorization_url text'),
    ('column', 'custom_oauth_providers.token_url text'),
    ('column', 'custom_oauth_providers.userinfo_url text'),
    ('column', 'custom_oauth_providers.jwks_uri text'),
    ('column', 'custom_oauth_providers.created_at timestamp with time zone NOT NULL DEFAULT now()'),
    ('column', 'custom_oauth_providers.updated_at timestamp with time zone NOT NULL DEFAULT now()'),
    ('column', 'custom_oauth_providers.custom_claims_allowlist text[] NOT NULL DEFAULT ''{}''::text[]'),
    ('column', 'flow_state.id uuid NOT NULL'),
    ('column', 'flow_state.user_id uuid'),
    ('column', 'flow_state.auth_code text'),
    ('column', 'flow_state.code_challenge_method auth.code_challenge_method'),
    ('column', 'flow_state.code_challenge text'),
    ('column', 'flow_state.provider_type text NOT NULL'),
    ('column', 'flow_state.provider_access_token text'),
    ('column', 'flow_state.provider_refresh_token text'),
    ('column', 'flow_state.created_at timestamp with time zone'),
    ('column', 'flow_state.updated_at timestamp with time zone'),
    ('column', 'flow_state.authentication_method text NOT NULL'),
    ('column', 'flow_state.auth_code_issued_at timestamp with time zone'),
    ('column', 'flow_state.invite_token text'),
    ('column', 'flow_state.referrer text'),
    ('column', 'flow_state.oauth_client_state_id uuid'),
    ('column', 'flow_state.linking_target_id uuid'),
    ('column', 'flow_state.email_optional boolean NOT NULL DEFAULT false'),
    ('column', 'identities.provider_id text NOT NULL'),
    ('column', 'identities.user_id uuid NOT NULL'),
    ('column', 'identities.identity_data jsonb NOT NULL'),
    ('column', 'identities.provider text NOT NULL'),
    ('column', 'identities.last_sign_in_at timestamp with time zone'),
    ('column', 'identities.created_at timestamp with time zone'),
    ('column', 'identities.updated_at timestamp with time zone'),
    ('column', 'identities.email text GENERATED lower((identity_data ->> ''email''::text))'),
    ('column', 'identities.id uuid NOT NULL DEFAULT gen_random_uuid()'),
    ('column', 'instances.id uuid NOT NULL'),
    ('column', 'instances.uuid uuid'),
    ('column', 'instances.raw_base_config text'),
    ('column', 'instances.created_at timestamp with time zone'),
    ('column', 'instances.updated_at timestamp with time zone'),
    ('column', 'mfa_amr_claims.session_id uuid NOT NULL'),
    ('column', 'mfa_amr_claims.created_at timestamp with time zone NOT NULL'),
    ('column', 'mfa_amr_claims.updated_at timestamp with time zone NOT NULL'),
    ('column', 'mfa_amr_claims.authentication_method text NOT NULL'),
    ('column', 'mfa_amr_claims.id uuid NOT NULL'),
    ('column', 'mfa_challenges.id uuid NOT NULL'),
    ('column', 'mfa_challenges.factor_id uuid NOT NULL'),
    ('column', 'mfa_challenges.created_at timestamp with time zone NOT NULL'),
    ('column', 'mfa_challenges.verified_at timestamp with time zone'),
    ('column', 'mfa_challenges.ip_address inet NOT NULL'),
    ('column', 'mfa_challenges.otp_code text'),
    ('column', 'mfa_challenges.web_authn_session_data jsonb'),
    ('column', 'mfa_factors.id uuid NOT NULL'),
    ('column', 'mfa_factors.user_id uuid NOT NULL'),
    ('column', 'mfa_factors.friendly_name text'),
    ('column', 'mfa_factors.factor_type auth.factor_type NOT NULL'),
    ('column', 'mfa_factors.status auth.factor_status NOT NULL'),
    ('column', 'mfa_factors.created_at timestamp with time zone NOT NULL'),
    ('column', 'mfa_factors.updated_at timestamp with time zone NOT NULL'),
    ('column', 'mfa_factors.secret text'),
    ('column', 'mfa_factors.phone text'),
    ('column', 'mfa_factors.last_challenged_at timestamp with time zone'),
    ('column', 'mfa_factors.web_authn_credential jsonb'),
    ('column', 'mfa_factors.web_authn_aaguid uuid'),
    ('column', 'mfa_factors.last_webauthn_challenge_data jsonb'),
    ('column', 'oauth_authorizations.id uuid NOT NULL'),
    ('column', 'oauth_authorizations.authorization_id text NOT NULL'),
    ('column', 'oauth_authorizations.client_id uuid NOT NULL'),
    ('column', 'oauth_authorizations.user_id uuid'),
    ('column', 'oauth_authorizations.redirect_uri text NOT NULL'),
    ('column', 'oauth_authorizations.scope text NOT NULL'),
    ('column', 'oauth_authorizations.state text'),
    ('column', 'oauth_authorizations.resource text'),
    ('column', 'oauth_authorizations.code_challenge text'),
    ('column', 'oauth_authorizations.code_challenge_method auth.code_challenge_method'),
    ('column', 'oauth_authorizations.response_type auth.oauth_response_type NOT NULL DEFAULT ''code''::auth.oauth_response_type'),
    ('column', 'oauth_authorizations.status auth.oauth_authorization_status NOT NULL DEFAULT ''pending''::auth.oauth_authorization_status'),
    ('column', 'oauth_authorizations.authorization_code text'),
    ('column', 'oauth_authorizations.created_at timestamp with time zone NOT NULL DEFAULT now()'),
    ('column', 'oauth_authorizations.expires_at timestamp with time zone NOT NULL DEFAULT (now() + ''00:03:00''::interval)'),
    ('column', 'oauth_authorizations.approved_at timestamp with time zone'),
    ('column', 'oauth_authorizations.nonce text'),
    ('column', 'oauth_client_states.id uuid NOT NULL'),
    ('column', 'oauth_client_states.provider_type text NOT NULL'),
    ('column', 'oauth_client_states.code_verifier text'),
    ('column', 'oauth_client_states.created_at timestamp with time zone NOT NULL'),
    ('column', 'oauth_clients.id uuid NOT NULL'),
    ('column', 'oauth_clients.client_secret_hash text'),
    ('column', 'oauth_clients.registration_type auth.oauth_registration_type NOT NULL'),
    ('column', 'oauth_clients.redirect_uris text NOT NULL'),
    ('column', 'oauth_clients.grant_types text NOT NULL'),
    ('column', 'oauth_clients.client_name text'),
    ('column', 'oauth_clients.client_uri text'),
    ('column', 'oauth_clients.logo_uri text'),
    ('column', 'oauth_clients.created_at timestamp with time zone NOT NULL DEFAULT now()'),
    ('column', 'oauth_clients.updated_at timestamp with time zone NOT NULL DEFAULT now()'),
    ('column', 'oauth_clients.deleted_at timestamp with time zone'),
    ('column', 'oauth_clients.client_type auth.oauth_client_type NOT NULL DEFAULT ''confidential''::auth.oauth_client_type'),
    ('column', 'oauth_clients.token_endpoint_auth_method text NOT NULL'),
    ('column', 'oauth_consents.id uuid NOT NULL'),
    ('column', 'oauth_consents.user_id uuid NOT NULL'),
    ('column', 'oauth_consents.client_id uuid NOT NULL'),
    ('column', 'oauth_consents.scopes text NOT NULL'),
    ('column', 'oauth_consents.granted_at timestamp with time zone NOT NULL DEFAULT now()'),
    ('column', 'oauth_consents.revoked_at timestamp with time zone'),
    ('column', 'one_time_tokens.id uuid NOT NULL'),
    ('column', 'one_time_tokens.user_id uuid NOT NULL'),
    ('column', 'one_time_tokens.token_type auth.one_time_token_type NOT NULL'),
    ('column', 'one_time_tokens.token_hash text NOT NULL'),
    ('column', 'one_time_tokens.relates_to text NOT NULL'),
    ('column', 'one_time_tokens.created_at timestamp without time zone NOT NULL DEFAULT now()'),
    ('column', 'one_time_tokens.updated_at timestamp without time zone NOT NULL DEFAULT now()'),
    ('column', 'refresh_tokens.instance_id uuid'),
    ('column', 'refresh_tokens.id bigint NOT NULL DEFAULT nextval(''auth.refresh_tokens_id_seq''::regclass)'),
    ('column', 'refresh_tokens.token character varying(255)'),
    ('column', 'refresh_tokens.user_id character varying(255)'),
    ('column', 'refresh_tokens.revoked boolean'),
    ('column', 'refresh_tokens.created_at timestamp with time zone'),
    ('column', 'refresh_tokens.updated_at timestamp with time zone'),
    ('column', 'refresh_tokens.parent character varying(255)'),
    ('column', 'refresh_tokens.session_id uuid'),
    ('column', 'saml_providers.id uuid NOT NULL'),
    ('column', 'saml_providers.sso_provider_id uuid NOT NULL'),
    ('column', 'saml_providers.entity_id text NOT NULL'),
    ('column', 'saml_providers.metadata_xml text NOT NULL'),
    ('column', 'saml_providers.metadata_url text'),
    ('column', 'saml_providers.attribute_mapping jsonb'),
    ('column', 'saml_providers.created_at timestamp with time zone'),
    ('column', 'saml_providers.updated_at timestamp with time zone'),
    ('column', 'saml_providers.name_id_format text'),
    ('column', 'saml_relay_states.id uuid NOT NULL'),
    ('column', 'saml_relay_states.sso_provider_id uuid NOT NULL'),
    ('column', 'saml_relay_states.request_id text NOT NULL'),
    ('column', 'saml_relay_states.for_email text'),
    ('column', 'saml_relay_states.redirect_to text'),
    ('column', 'saml_relay_states.created_at timestamp with time zone'),
    ('column', 'saml_relay_states.updated_at timestamp with time zone'),
    ('column', 'saml_relay_states.flow_state_id uuid'),
    ('column', 'schema_migrations.version character varying(255) NOT NULL'),
    ('column', 'sessions.id uuid NOT NULL'),
    ('column', 'sessions.user_id uuid NOT NULL'),
    ('column', 'sessions.created_at timestamp with time zone'),
    ('column', 'sessions.updated_at timestamp with time zone'),
    ('column', 'sessions.factor_id uuid'),
    ('column', 'sessions.aal auth.aal_level'),
    ('column', 'sessions.not_after timestamp with time zone'),
    ('column', 'sessions.refreshed_at timestamp without time zone'),
    ('column', 'sessions.user_agent text'),
    ('column', 'sessions.ip inet'),
    ('column', 'sessions.tag text'),
    ('column', 'sessions.oauth_client_id uuid'),
    ('column', 'sessions.refresh_token_hmac_key text'),
    ('column', 'sessions.refresh_token_counter bigint'),
    ('column', 'sessions.scopes text'),
    ('column', 'sso_domains.id uuid NOT NULL'),
    ('column', 'sso_domains.sso_provider_id uuid NOT NULL'),
    ('column', 'sso_domains.domain text NOT NULL'),
    ('column', 'sso_domains.created_at timestamp with time zone'),
    ('column', 'sso_domains.updated_at timestamp with time zone'),
    ('column', 'sso_providers.id uuid NOT NULL'),
    ('column', 'sso_providers.resource_id text'),
    ('column', 'sso_providers.created_at timestamp with time zone'),
    ('column', 'sso_providers.updated_at timestamp with time zone'),
    ('column', 'sso_providers.disabled boolean'),
    ('column', 'users.instance_id uuid'),
    ('column', 'users.id uuid NOT NULL'),
    ('column', 'users.aud character varying(255)'),
    ('column', 'users.role character varying(255)'),
    ('column', 'users.email character varying(255)'),
    ('column', 'users.encrypted_password character varying(255)'),
    ('column', 'users.email_confirmed_at timestamp with time zone'),
    ('column', 'users.invited_at timestamp with time zone'),
    ('column', 'users.confirmation_token character varying(255)'),
    ('column', 'users.confirmation_sent_at timestamp with time zone'),
    ('column', 'users.recovery_token character varying(255)'),
    ('column', 'users.recovery_sent_at timestamp with time zone'),
    ('column', 'users.email_change_token_new character varying(255)'),
    ('column', 'users.email_change character varying(255)'),
    ('column', 'users.email_change_sent_at timestamp with time zone'),
    ('column', 'users.last_sign_in_at timestamp with time zone'),
    ('column', 'users.raw_app_meta_data jsonb'),
    ('column', 'users.raw_user_meta_data jsonb'),
    ('column', 'users.is_super_admin boolean'),
    ('column', 'users.created_at timestamp with time zone'),
    ('column', 'users.updated_at timestamp with time zone'),
    ('column', 'users.phone text DEFAULT NULL::character varying'),
    ('column', 'users.phone_confirmed_at timestamp with time zone'),
    ('column', 'users.phone_change text DEFAULT ''''::character varying'),
    ('column', 'users.phone_change_token character varying(255) DEFAULT ''''::character varying'),
    ('column', 'users.phone_change_sent_at timestamp with time zone'),
    ('column', 'users.confirmed_at timestamp with time zone GENERATED LEAST(email_confirmed_at, phone_confirmed_at)'),
    ('column', 'users.email_change_token_current character varying(255) DEFAULT ''''::character varying'),
    ('column', 'users.email_change_confirm_status smallint DEFAULT 0'),
    ('column', 'users.banned_until timestamp with time zone'),
    ('column', 'users.reauthentication_token character varying(255) DEFAULT ''''::character varying'),
    ('column', 'users.reauthentication_sent_at timestamp with time zone'),
    ('column', 'users.is_sso_user boolean NOT NULL DEFAULT false'),
    ('column', 'users.deleted_at timestamp with time zone'),
    ('column', 'users.is_anonymous boolean NOT NULL DEFAULT false'),
    ('column', 'webauthn_challenges.id uuid NOT NULL DEFAULT gen_random_uuid()'),
    ('column', 'webauthn_challenges.user_id uuid'),
    ('column', 'webauthn_challenges.challenge_type text NOT NULL'),
    ('column', 'webauthn_challenges.session_data jsonb NOT NULL'),
    ('column', 'webauthn_challenges.created_at timestamp with time zone NOT NULL DEFAULT now()'),
    ('column', 'webauthn_challenges.expires_at timestamp with time zone NOT NULL'),
    ('column', 'webauthn_credentials.id uuid NOT NULL DEFAULT gen_random_uuid()'),
    ('column', 'webauthn_credentials.user_id uuid NOT NULL'),
    ('column', 'webauthn_credentials.credential_id bytea NOT NULL'),
    ('column', 'webauthn_credentials.public_key bytea NOT NULL'),
    ('column', 'webauthn_credentials.attestation_type text NOT NULL DEFAULT ''''::text'),
    ('column', 'webauthn_credentials.aaguid uuid'),
    ('column', 'webauthn_credentials.sign_count bigint NOT NULL DEFAULT 0'),
    ('column', 'webauthn_credentials.transports jsonb NOT NULL DEFAULT ''[]''::jsonb'),
    ('column', 'webauthn_credentials.backup_eligible boolean NOT NULL DEFAULT false'),
    ('column', 'webauthn_credentials.backed_up boolean NOT NULL DEFAULT false'),
    ('column', 'webauthn_credentials.friendly_name text NOT NULL DEFAULT ''''::text'),
    ('column', 'webauthn_credentials.created_at timestamp with time zone NOT NULL DEFAULT now()'),
    ('column', 'webauthn_credentials.updated_at timestamp with time zone NOT NULL DEFAULT now()'),
    ('column', 'webauthn_credentials.last_used_at timestamp with time zone');

INSERT INTO found (kind, line)
    SELECT 'column', c.relname || '.' || a.attname || ' ' || format_type(a.atttypid, a.atttypmod)
           || CASE WHEN a.attnotnull THEN ' NOT NULL' ELSE '' END
           || coalesce(CASE WHEN a.attgenerated = 's' THEN ' GENERATED ' ELSE ' DEFAULT ' END
                       || pg_get_expr(d.adbin, d.adrelid), '')
    FROM pg_class c
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
    WHERE c.relnamespace = 'auth'::regnamespace AND c.relkind = 'r';

INSERT INTO expected (kind, line) VALUES
    ('constraint', 'audit_log_entries audit_log_entries_pkey PRIMARY KEY (id)'),
    ('constraint', 'custom_oauth_providers custom_oauth_providers_authorization_url_https CHECK (((authorization_url IS NULL) OR (authorization_url ~~ ''https://%''::text)))'),
    ('constraint', 'custom_oauth_providers custom_oauth_providers_authorization_url_length CHECK (((authorization_url IS NULL) OR (char_length(authorization_url) <= 2048)))'),
    ('constraint', 'custom_oauth_providers custom_oauth_providers_client_id_length CHECK (((char_length(client_id) >= 1) AND (char_length(client_id) <= 512)))'),
    ('constraint', 'custom_oauth_providers custom_oauth_providers_discovery_url_length CHECK (((discovery_url IS NULL) OR (char_length(discovery_url) <= 2048)))'),
    ('constraint', 'custom_oauth_providers custom_oauth_providers_identifier_format CHECK ((identifier ~ ''^[a-z0-9][a-z0-9:-]{0,48}[a-z0-9]$''::text))'),
    ('constraint', 'custom_oauth_providers custom_oauth_providers_identifier_key UNIQUE (identifier)'),
    ('constraint', 'custom_oauth_providers custom_oauth_providers_issuer_length CHECK (((issuer IS NULL) OR ((char_length(issuer) >= 1) AND (char_length(issuer) <= 2048))))'),
    ('constraint', 'custom_oauth_providers custom_oauth_providers_jwks_uri_https CHECK (((jwks_uri IS NULL) OR (jwks_uri ~~ ''https://%''::text)))'),
    ('constraint', 'custom_oauth_providers custom_oauth_providers_jwks_uri_length CHECK (((jwks_uri IS NULL) OR (char_length(jwks_uri) <= 2048)))'),
    ('constraint', 'custom_oauth_providers custom_oauth_providers_name_length CHECK (((char_length(name) >= 1) AND (char_length(name) <= 100)))'),
    ('constraint', 'custom_oauth_providers custom_oauth_providers_oauth2_requires_endpoints CHECK (((provider_type <> ''oauth2''::text) OR ((authorization_url IS NOT NULL) AND (token_url IS NOT NULL) AND (userinfo_url IS NOT NULL))))'),
    ('constraint', 'custom_oauth_providers custom_oauth_providers_oidc_discovery_url_https CHECK (((provider_type <> ''oidc''::text) OR (discovery_url IS NULL) OR (discovery_url ~~ ''https://%''::text)))'),
    ('constraint', 'custom_oauth_providers custom_oauth_providers_oidc_issuer_https CHECK (((provider_type <> ''oidc''::text) OR (issuer IS NULL) OR (issuer ~~ ''https://%''::text)))'),
    ('constraint', 'custom_oauth_providers custom_oauth_providers_oidc_requires_issuer CHECK (((provider_type <> ''oidc''::text) OR (issuer IS NOT NULL)))'),
    ('constraint', 'custom_oauth_providers custom_oauth_providers_pkey PRIMARY KEY (id)'),
    ('constraint', 'custom_oauth_providers custom_oauth_providers_provider_type_check CHECK ((provider_type = ANY (ARRAY[''oauth2''::text, ''oidc''::text])))'),
    ('constraint', 'custom_oauth_providers custom_oauth_providers_token_url_https CHECK (((token_url IS NULL) OR (token_url ~~ ''https://%''::text)))'),
    ('constraint', 'custom_oauth_providers custom_oauth_providers_token_url_length CHECK (((token_url IS NULL) OR (char_length(token_url) <= 2048)))'),
    ('constraint', 'custom_oauth_providers custom_oauth_providers_userinfo_url_https CHECK (((userinfo_url IS NULL) OR (userinfo_url ~~ ''https://%''::text)))'),
    ('constraint', 'custom_oauth_providers custom_oauth_providers_userinfo_url_length CHECK (((userinfo_url IS NULL) OR (char_length(userinfo_url) <= 2048)))'),
    ('constraint', 'flow_state flow_state_pkey PRIMARY KEY (id)'),
    ('constraint', 'identities identities_pkey PRIMARY KEY (id)'),
    ('constraint', 'identities identities_provider_id_provider_unique UNIQUE (provider_id, provider)'),
    ('constraint', 'identities identities_user_id_fkey FOREIGN KEY (user_id) REFERENCES auth.users(id) ON DELETE CASCADE'),
    ('constraint', 'instances instances_pkey PRIMARY KEY (id)'),
    ('constraint', 'mfa_amr_claims amr_id_pk PRIMARY KEY (id)'),
    ('constraint', 'mfa_amr_claims mfa_amr_claims_session_id_authentication_method_pkey UNIQUE (session_id, authentication_method)'),
    ('constraint', 'mfa_amr_claims mfa_amr_claims_session_id_fkey FOREIGN KEY (session_id) REFERENCES auth.sessions(id) ON DELETE CASCADE'),
    ('constraint', 'mfa_challenges mfa_challenges_auth_factor_id_fkey FOREIGN KEY (factor_id) REFERENCES auth.mfa_factors(id) ON DELETE CASCADE'),
    ('constraint', 'mfa_challenges mfa_challenges_pkey PRIMARY KEY (id)'),
    ('constraint', 'mfa_factors mfa_factors_last_challenged_at_key UNIQUE (last_challenged_at)'),
    ('constraint', 'mfa_factors mfa_factors_pkey PRIMARY KEY (id)'),
    ('constraint', 'mfa_factors mfa_factors_user_id_fkey FOREIGN KEY (user_id) REFERENCES auth.users(id) ON DELETE CASCADE'),
    ('constraint', 'oauth_authorizations oauth_authorizations_authorization_code_key UNIQUE (authorization_code)'),
    ('constraint', 'oauth_authorizations oauth_authorizations_authorization_code_length CHECK ((char_length(authorization_code) <= 255))'),
    ('constraint', 'oauth_authorizations oauth_authorizations_authorization_id_key UNIQUE (authorization_id)'),
    ('constraint', 'oauth_authorizations oauth_authorizations_client_id_fkey FOREIGN KEY (client_id) REFERENCES auth.oauth_clients(id) ON DELETE CASCADE'),
    ('constraint', 'oauth_authorizations oauth_authorizations_code_challenge_length CHECK ((char_length(code_challenge) <= 128))'),
    ('constraint', 'oauth_authorizations oauth_authorizations_expires_at_future CHECK ((expires_at > created_at))'),
    ('constraint', 'oauth_authorizations oauth_authorizations_nonce_length CHECK ((char_length(nonce) <= 255))'),
    ('constraint', 'oauth_authorizations oauth_authorizations_pkey PRIMARY KEY (id)'),
    ('constraint', 'oauth_authorizations oauth_authorizations_redirect_uri_length CHECK ((char_length(redirect_uri) <= 2048))'),
    ('constraint', 'oauth_authorizations oauth_authorizations_resource_length CHECK ((char_length(resource) <= 2048))'),
    ('constraint', 'oauth_authorizations oauth_authorizations_scope_length CHECK ((char_length(scope) <= 4096))'),
    ('constraint', 'oauth_authorizations oauth_authorizations_state_length CHECK ((char_length(state) <= 4096))'),
    ('constraint', 'oauth_authorizations oauth_authorizations_user_id_fkey FOREIGN KEY (user_id) REFERENCES auth.users(id) ON DELETE CASCADE'),
    ('constraint', 'oauth_client_states oauth_client_states_pkey PRIMARY KEY (id)'),
    ('constraint', 'oauth_clients oauth_clients_client_name_length CHECK ((char_length(client_name) <= 1024))'),
    ('constraint', 'oauth_clients oauth_clients_client_uri_length CHECK ((char_length(client_uri) <= 2048))'),
    ('constraint', 'oauth_clients oauth_clients_logo_uri_length CHECK ((char_length(logo_uri) <= 2048))'),
    ('constraint', 'oauth_clients oauth_clients_pkey PRIMARY KEY (id)'),
    ('constraint', 'oauth_clients oauth_clients_token_endpoint_auth_method_check CHECK ((token_endpoint_auth_method = ANY (ARRAY[''client_secret_basic''::text, ''client_secret_post''::text, ''none''::text])))'),
    ('constraint', 'oauth_consents oauth_consents_client_id_fkey FOREIGN KEY (client_id) REFERENCES auth.oauth_clients(id) ON DELETE CASCADE'),
    ('constraint', 'oauth_consents oauth_consents_pkey PRIMARY KEY (id)'),
    ('constraint', 'oauth_consents oauth_consents_revoked_after_granted CHECK (((revoked_at IS NULL) OR (revoked_at >= granted_at)))'),
    ('constraint', 'oauth_consents oauth_consents_scopes_length CHECK ((char_length(scopes) <= 2048))'),
    ('constraint', 'oauth_consents oauth_consents_scopes_not_empty CHECK ((char_length(TRIM(BOTH FROM scopes)) > 0))'),
    ('constraint', 'oauth_consents oauth_consents_user_client_unique UNIQUE (user_id, client_id)'),
    ('constraint', 'oauth_consents oauth_consents_user_id_fkey FOREIGN KEY (user_id) REFERENCES auth.users(id) ON DELETE CASCADE'),
    ('constraint', 'one_time_tokens one_time_tokens_pkey PRIMARY KEY (id)'),
    ('constraint', 'one_time_tokens one_time_tokens_token_hash_check CHECK ((char_length(token_hash) > 0))'),
    ('constraint', 'one_time_tokens one_time_tokens_user_id_fkey FOREIGN KEY (user_id) REFERENCES auth.users(id) ON DELETE CASCADE'),
    ('constraint', 'refresh_tokens refresh_tokens_pkey PRIMARY KEY (id)'),
    ('constraint', 'refresh_tokens refresh_tokens_session_id_fkey FOREIGN KEY (session_id) REFERENCES auth.sessions(id) ON DELETE CASCADE'),
    ('constraint', 'refresh_tokens refresh_tokens_token_unique UNIQUE (token)'),
    ('constraint', 'saml_providers entity_id not empty CHECK ((char_length(entity_id) > 0))'),
    ('constraint', 'saml_providers metadata_url not empty CHECK (((metadata_url = NULL::text) OR (char_length(metadata_url) > 0)))'),
    ('constraint', 'saml_providers metadata_xml not empty CHECK ((char_length(metadata_xml) > 0))'),
    ('constraint', 'saml_providers saml_providers_entity_id_key UNIQUE (entity_id)'),
    ('constraint', 'saml_providers saml_providers_pkey PRIMARY KEY (id)'),
    ('constraint', 'saml_providers saml_providers_sso_provider_id_fkey FOREIGN KEY (sso_provider_id) REFERENCES auth.sso_providers(id) ON DELETE CASCADE'),
    ('constraint', 'saml_relay_states request_id not empty CHECK ((char_length(request_id) > 0))'),
    ('constraint', 'saml_relay_states saml_relay_states_flow_state_id_fkey FOREIGN KEY (flow_state_id) REFERENCES auth.flow_state(id) ON DELETE CASCADE'),
    ('constraint', 'saml_relay_states saml_relay_states_pkey PRIMARY KEY (id)'),
    ('constraint', 'saml_relay_states saml_relay_states_sso_provider_id_fkey FOREIGN KEY (sso_provider_id) REFERENCES auth.sso_providers(id) ON DELETE CASCADE'),
    ('constraint', 'schema_migrations schema_migrations_pkey PRIMARY KEY (version)'),
    ('constraint', 'sessions sessions_oauth_client_id_fkey FOREIGN KEY (oauth_client_id) REFERENCES auth.oauth_clients(id) ON DELETE CASCADE'),
    ('constraint', 'sessions sessions_pkey PRIMARY KEY (id)'),
    ('constraint', 'sessions sessions_scopes_length CHECK ((char_length(scopes) <= 4096))'),
    ('constraint', 'sessions sessions_user_id_fkey FOREIGN KEY (user_id) REFERENCES auth.users(id) ON DELETE CASCADE'),
    ('constraint', 'sso_domains domain not empty CHECK ((char_length(domain) > 0))'),
    ('constraint', 'sso_domains sso_domains_pkey PRIMARY KEY (id)'),
    ('constraint', 'sso_domains sso_domains_sso_provider_id_fkey FOREIGN KEY (sso_provider_id) REFERENCES auth.sso_providers(id) ON DELETE CASCADE'),
    ('constraint', 'sso_providers resource_id not empty CHECK (((resource_id = NULL::text) OR (char_length(resource_id) > 0)))'),
    ('constraint', 'sso_providers sso_providers_pkey PRIMARY KEY (id)'),
    ('constraint', 'users users_email_change_confirm_status_check CHECK (((email_change_confirm_status >= 0) AND (email_change_confirm_status <= 2)))'),
    ('constraint', 'users users_phone_key UNIQUE (phone)'),
    ('constraint', 'users users_pkey PRIMARY KEY (id)'),
    ('constraint', 'webauthn_challenges webauthn_challenges_challenge_type_check CHECK ((challenge_type = ANY (ARRAY[''signup''::text, ''registration''::text, ''authentication''::text])))'),
    ('constraint', 'webauthn_challenges webauthn_challenges_pkey PRIMARY KEY (id)'),
    ('constraint', 'webauthn_challenges webauthn_challenges_user_id_fkey FOREIGN KEY (user_id) REFERENCES auth.users(id) ON DELETE CASCADE'),
    ('constraint', 'webauthn_credentials webauthn_credentials_pkey PRIMARY KEY (id)'),
    ('constraint', 'webauthn_credentials webauthn_credentials_user_id_fkey FOREIGN KEY (user_id) REFERENCES auth.users(id) ON DELETE CASCADE');

INSERT INTO found (kind, line)
    SELECT 'constraint', c.relname || ' ' || k.conname || ' ' || pg_get_constraintdef(k.oid)
    FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
    WHERE c.relnamespace = 'auth'::regnamespace AND k.contype IN ('p', 'u', 'f', 'c');

INSERT INTO expected (kind, line) VALUES
    ('index', 'CREATE INDEX audit_logs_instance_id_idx ON auth.audit_log_entries (instance_id)'),
    ('index', 'CREATE INDEX custom_oauth_providers_created_at_idx ON auth.custom_oauth_providers (created_at)'),
    ('index', 'CREATE INDEX custom_oauth_providers_enabled_idx ON auth.custom_oauth_providers (enabled)'),
    ('index', 'CREATE INDEX custom_oauth_providers_identifier_idx ON auth.custom_oauth_providers (identifier)'),
    ('index', 'CREATE INDEX custom_oauth_providers_provider_type_idx ON auth.custom_oauth_providers (provider_type)'),
    ('index', 'CREATE INDEX factor_id_created_at_idx ON auth.mfa_factors (user_id, created_at)'),
    ('index', 'CREATE INDEX flow_state_created_at_idx ON auth.flow_state (created_at DESC)'),
    ('index', 'CREATE INDEX identities_email_idx ON auth.identities (email text_pattern_ops)'),
    ('index', 'CREATE INDEX identities_user_id_idx ON auth.identities (user_id)'),
    ('index', 'CREATE INDEX idx_auth_code ON auth.flow_state (auth_code)'),
    ('index', 'CREATE INDEX idx_oauth_client_states_created_at ON auth.oauth_client_states (created_at)'),
    ('index', 'CREATE INDEX idx_user_id_auth_method ON auth.flow_state (user_id, authentication_method)'),
    ('index', 'CREATE INDEX mfa_challenge_created_at_idx ON auth.mfa_challenges (created_at DESC)'),
    ('index', 'CREATE INDEX mfa_factors_user_id_idx ON auth.mfa_factors (user_id)'),
    ('index', 'CREATE INDEX oauth_auth_pending_exp_idx ON auth.oauth_authorizations (expires_at) WHERE (status = ''pending''::auth.oauth_authorization_status)'),
    ('index', 'CREATE INDEX oauth_clients_deleted_at_idx ON auth.oauth_clients (deleted_at)'),
    ('index', 'CREATE INDEX oauth_consents_active_client_idx ON auth.oauth_consents (client_id) WHERE (revoked_at IS NULL)'),
    ('index', 'CREATE INDEX oauth_consents_active_user_client_idx ON auth.oauth_consents (user_id, client_id) WHERE (revoked_at IS NULL)'),
    ('index', 'CREATE INDEX oauth_consents_user_order_idx ON auth.oauth_consents (user_id, granted_at DESC)'),
    ('index', 'CREATE INDEX one_time_tokens_relates_to_hash_idx ON auth.one_time_tokens USING hash (relates_to)'),
    ('index', 'CREATE INDEX one_time_tokens_token_hash_hash_idx ON auth.one_time_tokens USING hash (token_hash)'),
    ('index', 'CREATE INDEX refresh_tokens_instance_id_idx ON auth.refresh_tokens (instance_id)'),
    ('index', 'CREATE INDEX refresh_tokens_instance_id_user_id_idx ON auth.refresh_tokens (instance_id, user_id)'),
    ('index', 'CREATE INDEX refresh_tokens_parent_idx ON auth.refresh_tokens (parent)'),
    ('index', 'CREATE INDEX refresh_tokens_session_id_revoked_idx ON auth.refresh_tokens (session_id, revoked)'),
    ('index', 'CREATE INDEX refresh_tokens_updated_at_idx ON auth.refresh_tokens (updated_at DESC)'),
    ('index', 'CREATE INDEX saml_providers_sso_provider_id_idx ON auth.saml_providers (sso_provider_id)'),
    ('index', 'CREATE INDEX saml_relay_states_created_at_idx ON auth.saml_relay_states (created_at DESC)'),
    ('index', 'CREATE INDEX saml_relay_states_for_email_idx ON auth.saml_relay_states (for_email)'),
    ('index', 'CREATE INDEX saml_relay_states_sso_provider_id_idx ON auth.saml_relay_states (sso_provider_id)'),
    ('index', 'CREATE INDEX sessions_not_after_idx ON auth.sessions (not_after DESC)'),
    ('index', 'CREATE INDEX sessions_oauth_client_id_idx ON auth.sessions (oauth_client_id)'),
    ('index', 'CREATE INDEX sessions_user_id_idx ON auth.sessions (user_id)'),
    ('index', 'CREATE INDEX sso_domains_sso_provider_id_idx ON auth.sso_domains (sso_provider_id)'),
    ('index', 'CREATE INDEX sso_providers_resource_id_pattern_idx ON auth.sso_providers (resource_id text_pattern_ops)'),
    ('index', 'CREATE INDEX user_id_created_at_idx ON auth.sessions (user_id, created_at)'),
    ('index', 'CREATE INDEX users_instance_id_email_idx ON auth.users (instance_id, lower((email)::text))'),
    ('index', 'CREATE INDEX users_instance_id_idx ON auth.users (instance_id)'),
    ('index', 'CREATE INDEX users_is_anonymous_idx ON auth.users (is_anonymous)'),
    ('index', 'CREATE INDEX webauthn_challenges_expires_at_idx ON auth.webauthn_challenges (expires_at)'),
    ('index', 'CREATE INDEX webauthn_challenges_user_id_idx ON auth.webauthn_challenges (user_id)'),
    ('index', 'CREATE INDEX webauthn_credentials_user_id_idx ON auth.webauthn_credentials (user_id)'),
    ('index', 'CREATE UNIQUE INDEX confirmation_token_idx ON auth.users (confirmation_token) WHERE ((confirmation_token)::text !~ ''^[0-9 ]*$''::text)'),
    ('index', 'CREATE UNIQUE INDEX email_change_token_current_idx ON auth.users (email_change_token_current) WHERE ((email_change_token_current)::text !~ ''^[0-9 ]*$''::text)'),
    ('index', 'CREATE UNIQUE INDEX email_change_token_new_idx ON auth.users (email_change_token_new) WHERE ((email_change_token_new)::text !~ ''^[0-9 ]*$''::text)'),
    ('index', 'CREATE UNIQUE INDEX mfa_factors_user_friendly_name_unique ON auth.mfa_factors (friendly_name, user_id) WHERE (TRIM(BOTH FROM friendly_name) <> ''''::text)'),
    ('index', 'CREATE UNIQUE INDEX one_time_tokens_user_id_token_type_key ON auth.one_time_tokens (user_id, token_type)'),
    ('index', 'CREATE UNIQUE INDEX reauthentication_token_idx ON auth.users (reauthentication_token) WHERE ((reauthentication_token)::text !~ ''^[0-9 ]*$''::text)'),
    ('index', 'CREATE UNIQUE INDEX recovery_token_idx ON auth.users (recovery_token) WHERE ((recovery_token)::text !~ ''^[0-9 ]*$''::text)'),
    ('index', 'CREATE UNIQUE INDEX sso_domains_domain_idx ON auth.sso_domains (lower(domain))'),
    ('index', 'CREATE UNIQUE INDEX sso_providers_resource_id_idx ON auth.sso_providers (lower(resource_id))'),
    ('index', 'CREATE UNIQUE INDEX unique_phone_factor_per_user ON auth.mfa_factors (user_id, phone)'),
    ('index', 'CREATE UNIQUE INDEX users_email_partial_key ON auth.users (email) WHERE (is_sso_user = false)'),
    ('index', 'CREATE UNIQUE INDEX webauthn_credentials_credential_id_key ON auth.webauthn_credentials (credential_id)');

INSERT INTO found (kind, line)
    SELECT 'index', regexp_replace(pg_get_indexdef(i.indexrelid), ' USING btree', '')
    FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
    WHERE c.relnamespace = 'auth'::regnamespace
      AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = i.indexrelid
                      AND k.contype IN ('p', 'u'));

DO $same$
DECLARE
    d record;
BEGIN
    FOR d IN
        (SELECT 'missing' AS what, e.* FROM (SELECT * FROM expected EXCEPT SELECT * FROM found) e
         UNION ALL
         SELECT 'unexpected', f.* FROM (SELECT * FROM found EXCEPT SELECT * FROM expected) f)
        ORDER BY kind, line
    LOOP
        RAISE WARNING 'schema auth: % %: %', d.what, d.kind, d.line;
    END LOOP;
    PERFORM pg_temp.check_that('schema auth is the one of Supabase Auth 20260625000000, see warnings', NOT FOUND);
    PERFORM pg_temp.check_that('auth.schema_migrations says so',
        (SELECT max(version) = '20260625000000' FROM auth.schema_migrations));
    PERFORM pg_temp.check_that('every object of auth belongs to supabase_auth_admin', NOT EXISTS (
        SELECT FROM pg_class WHERE relnamespace = 'auth'::regnamespace
            AND relowner <> 'supabase_auth_admin'::regrole
        UNION ALL SELECT FROM pg_proc WHERE pronamespace = 'auth'::regnamespace
            AND proowner <> 'supabase_auth_admin'::regrole
        UNION ALL SELECT FROM pg_type WHERE typnamespace = 'auth'::regnamespace
            AND typowner <> 'supabase_auth_admin'::regrole
        UNION ALL SELECT FROM pg_namespace WHERE nspname = 'auth'
            AND nspowner <> 'supabase_auth_admin'::regrole));
    PERFORM pg_temp.check_that('row level security is on for the sixteen older tables, and no policy', (
        SELECT string_agg(relname, ' ' ORDER BY relname COLLATE "C") = 'audit_log_entries flow_state'
            ' identities instances mfa_amr_claims mfa_challenges mfa_factors one_time_tokens'
            ' refresh_tokens saml_providers saml_relay_states schema_migrations sessions sso_domains'
            ' sso_providers users'
        FROM pg_class WHERE relnamespace = 'auth'::regnamespace AND relrowsecurity)
        AND NOT EXISTS (SELECT FROM pg_policies WHERE schemaname = 'auth'));
END
$same$;

-- ---- part 2: roles and rights -----------------------------------------------------------------

DO $roles$
DECLARE
    r record;
BEGIN
    FOR r IN
        SELECT v.*, p.oid, p.* FROM (VALUES
            -- name, login, inherit, create role, create db, bypass rls, search_path
            ('anon',                   false, false, false, false, false, NULL),
            ('authenticated',          false, false, false, false, false, NULL),
            ('service_role',           false, false, false, false, true,  NULL),
            ('authenticator',          true,  false, false, false, false, '"$user", public, extensions'),
            ('supabase_auth_admin',    true,  false, false, false, false, 'auth'),
            ('supabase_storage_admin', true,  false, false, false, false, 'storage'),
            ('postgres',               true,  true,  true,  true,  true,  '"$user", public, extensions')
        ) AS v(name, login, inherit, createrole, createdb, bypassrls, path)
        LEFT JOIN pg_roles p ON p.rolname = v.name
    LOOP
        PERFORM pg_temp.check_that('attributes of role ' || r.name,
            (r.rolcanlogin, r.rolinherit, r.rolcreaterole, r.rolcreatedb, r.rolbypassrls, r.rolsuper)
            = (r.login, r.inherit, r.createrole, r.createdb, r.bypassrls, false));
        PERFORM pg_temp.check_that('search_path of role ' || r.name,
            r.rolconfig IS NOT DISTINCT FROM CASE WHEN r.path IS NOT NULL
                                             THEN ARRAY['search_path=' || r.path] END);
    END LOOP;
    PERFORM pg_temp.check_that('memberships', (
        SELECT string_agg(m.member::regrole || ' in ' || m.roleid::regrole, ', '
                          ORDER BY m.member::regrole::text, m.roleid::regrole::text)
               = 'authenticator in anon, authenticator in authenticated, authenticator in service_role,'
                 ' postgres in anon, postgres in authenticated, postgres in service_role'
        FROM pg_auth_members m
        WHERE m.member::regrole::text IN ('anon', 'authenticated', 'service_role', 'authenticator',
                                          'supabase_auth_admin', 'supabase_storage_admin', 'postgres')));
END
$roles$;

DO $rights$
DECLARE
    t text;
    who text;
    o record;
BEGIN
    -- No request role and no other login reads or changes anything of `basalt`.
    FOREACH who IN ARRAY ARRAY['anon', 'authenticated', 'service_role', 'authenticator'] LOOP
        FOR o IN SELECT oid, oid::regclass AS name FROM pg_class
                 WHERE relnamespace = 'basalt'::regnamespace AND relkind IN ('r', 'v', 'S') LOOP
            PERFORM pg_temp.check_that(format('%s has no right on %s', who, o.name),
                NOT has_table_privilege(who, o.oid,
                    'SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER'));
        END LOOP;
        FOREACH t IN ARRAY ARRAY['users', 'identities', 'sessions', 'refresh_tokens', 'mfa_factors'] LOOP
            PERFORM pg_temp.check_that(format('%s has no right on auth.%s', who, t),
                NOT has_table_privilege(who, 'auth.' || t,
                    'SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER'));
        END LOOP;
    END LOOP;
    FOREACH who IN ARRAY ARRAY['anon', 'authenticated', 'authenticator', 'supabase_storage_admin'] LOOP
        PERFORM pg_temp.check_that(format('%s may not call the profile functions', who),
            NOT has_function_privilege(who, 'basalt.profile_write(text, uuid, jsonb)', 'EXECUTE')
            AND NOT has_function_privilege(who, 'basalt.profile_read(text, uuid)', 'EXECUTE'));
    END LOOP;
    FOREACH who IN ARRAY ARRAY['anon', 'authenticated', 'authenticator'] LOOP
        PERFORM pg_temp.check_that(format('%s cannot look into basalt', who),
            NOT has_schema_privilege(who, 'basalt', 'USAGE'));
    END LOOP;
    PERFORM pg_temp.check_that('profile functions: owner, definer, search_path', (
        SELECT bool_and(proowner = 'service_role'::regrole AND prosecdef
                        AND proconfig = ARRAY['search_path=pg_catalog, public, extensions, pg_temp'])
               AND count(*) = 2
        FROM pg_proc WHERE oid IN ('basalt.profile_write(text,uuid,jsonb)'::regprocedure,
                                   'basalt.profile_read(text,uuid)'::regprocedure)));
    PERFORM pg_temp.check_that('nobody but postgres reads secrets',
        has_table_privilege('postgres', 'basalt.secret', 'SELECT')
        AND NOT has_table_privilege('supabase_auth_admin', 'basalt.secret', 'SELECT')
        AND NOT has_table_privilege('supabase_storage_admin', 'basalt.secret', 'SELECT'));
    PERFORM pg_temp.check_that('audit events: storage inserts only, postgres reads only',
        has_table_privilege('supabase_storage_admin', 'basalt.audit_event', 'INSERT')
        AND NOT has_table_privilege('supabase_storage_admin', 'basalt.audit_event', 'SELECT, UPDATE, DELETE')
        AND has_table_privilege('postgres', 'basalt.audit_event', 'SELECT')
        AND NOT has_table_privilege('postgres', 'basalt.audit_event', 'INSERT, UPDATE, DELETE'));

    PERFORM pg_temp.check_that('schema auth: USAGE for API roles, CREATE for none of them', (
        SELECT bool_and(has_schema_privilege(v.who, 'auth', 'USAGE')
                        AND NOT has_schema_privilege(v.who, 'auth', 'CREATE'))
        FROM (VALUES ('anon'), ('authenticated'), ('service_role'), ('postgres')) AS v(who)));
    PERFORM pg_temp.check_that('schema public: USAGE for API roles, CREATE for postgres alone', (
        SELECT bool_and(has_schema_privilege(v.who, 'public', 'USAGE')
                        AND has_schema_privilege(v.who, 'public', 'CREATE') = (v.who = 'postgres'))
        FROM (VALUES ('anon'), ('authenticated'), ('service_role'), ('authenticator'),
                     ('supabase_auth_admin'), ('postgres')) AS v(who)));
    PERFORM pg_temp.check_that('postgres owns the database and schemas public, extensions', (
        SELECT datdba = 'postgres'::regrole FROM pg_database WHERE datname = current_database())
        AND (SELECT bool_and(nspowner = 'postgres'::regrole) FROM pg_namespace
             WHERE nspname IN ('public', 'extensions', 'supabase_migrations')));
    PERFORM pg_temp.check_that('publication supabase_realtime: empty, of postgres', (
        SELECT pubowner = 'postgres'::regrole AND NOT puballtables FROM pg_publication
        WHERE pubname = 'supabase_realtime')
        AND NOT EXISTS (SELECT FROM pg_publication_tables WHERE pubname = 'supabase_realtime'));
    PERFORM pg_temp.check_that('postgres on auth: SELECT with grant option, and all but bookkeeping', (
        SELECT bool_and(has_table_privilege('postgres', c.oid, 'SELECT WITH GRANT OPTION')
                        AND has_table_privilege('postgres', c.oid, 'INSERT') = (relname <> 'schema_migrations'))
        FROM pg_class c WHERE relnamespace = 'auth'::regnamespace AND relrowsecurity));
END
$rights$;

-- What postgres makes in public is the API's; what an app's migrations usually do works.
DO $app$
DECLARE
    who text;
BEGIN
    PERFORM pg_temp.expect('postgres', s.line, '00000') FROM (VALUES (1,
        'CREATE TABLE public.check_note (id bigserial PRIMARY KEY,
             user_id uuid NOT NULL REFERENCES auth.users (id) ON DELETE CASCADE,
             token uuid DEFAULT extensions.uuid_generate_v4(), salt text DEFAULT extensions.gen_salt(''bf''))'), (2,
        'CREATE FUNCTION public.check_welcome() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
             SET search_path = '''' AS $t$ BEGIN
             INSERT INTO public.check_note (user_id) VALUES (NEW.id); RETURN NEW; END $t$'), (3,
        'CREATE TRIGGER check_welcome AFTER INSERT ON auth.users
             FOR EACH ROW EXECUTE FUNCTION public.check_welcome()'), (4,
        'CREATE VIEW public.check_people AS SELECT id, email FROM auth.users'), (5,
        'ALTER PUBLICATION supabase_realtime ADD TABLE public.check_note'), (6,
        'INSERT INTO auth.users (id, email) VALUES (''00000000-0000-4000-8000-0000000000aa'', ''seed@example.test'')'), (7,
        'DELETE FROM auth.users WHERE email = ''seed@example.test'''), (8,
        'CREATE SCHEMA check_private')
    ) AS s(step, line);
    FOREACH who IN ARRAY ARRAY['anon', 'authenticated', 'service_role'] LOOP
        PERFORM pg_temp.check_that('default privileges in public for ' || who,
            has_table_privilege(who, 'public.check_note', 'SELECT')
            AND has_table_privilege(who, 'public.check_note', 'INSERT')
            AND has_table_privilege(who, 'public.check_note', 'UPDATE')
            AND has_table_privilege(who, 'public.check_note', 'DELETE')
            AND has_sequence_privilege(who, 'public.check_note_id_seq', 'USAGE')
            AND has_function_privilege(who, 'public.check_welcome()', 'EXECUTE'));
    END LOOP;
    PERFORM pg_temp.expect('postgres', 'DROP TRIGGER check_welcome ON auth.users', '42501'); -- the owner's
    DROP TRIGGER check_welcome ON auth.users;
END
$app$;

-- ---- part 3: what it does ---------------------------------------------------------------------

DO $helpers$
BEGIN
    PERFORM pg_temp.check_that('helpers without any claim', (SELECT auth.uid() IS NULL
        AND auth.role() IS NULL AND auth.email() IS NULL AND auth.jwt() IS NULL));
    PERFORM set_config('request.jwt.claims', '', true), set_config('request.jwt.claim.sub', '', true);
    PERFORM pg_temp.check_that('helpers with empty settings', (SELECT auth.uid() IS NULL
        AND auth.role() IS NULL AND auth.email() IS NULL AND auth.jwt() IS NULL));
    PERFORM set_config('request.jwt.claims',
        '{"sub":"00000000-0000-4000-8000-000000000001","role":"authenticated","email":"a@example.test"}', true);
    PERFORM pg_temp.check_that('helpers with claims', (SELECT
        auth.uid() = '00000000-0000-4000-8000-000000000001' AND auth.role() = 'authenticated'
        AND auth.email() = 'a@example.test' AND auth.jwt() ->> 'role' = 'authenticated'));
    PERFORM set_config('request.jwt.claim.sub', '00000000-0000-4000-8000-000000000002', true),
            set_config('request.jwt.claim.role', 'anon', true);
    PERFORM pg_temp.check_that('the plain setting comes before the claims', (SELECT
        auth.uid() = '00000000-0000-4000-8000-000000000002' AND auth.role() = 'anon'));
    PERFORM set_config('request.jwt.claims', '', true), set_config('request.jwt.claim.sub', '', true),
            set_config('request.jwt.claim.role', '', true);
    PERFORM pg_temp.check_that('helpers are stable SQL that can be inlined', (
        SELECT count(*) = 4 AND bool_and(provolatile = 's' AND prolang = (SELECT oid FROM pg_language WHERE lanname = 'sql')
                                         AND proconfig IS NULL AND NOT prosecdef)
        FROM pg_proc WHERE pronamespace = 'auth'::regnamespace
            AND proname IN ('uid', 'role', 'email', 'jwt')));
END
$helpers$;

CREATE TABLE public.check_app (
    id    uuid PRIMARY KEY,
    name  text,
    tags  text[],
    score integer,
    twice integer GENERATED ALWAYS AS (score * 2) STORED,
    seen  text
);
CREATE TABLE public."Check App" (id uuid PRIMARY KEY, "Full Name" text, CHECK ("Full Name" <> 'refused'));
CREATE FUNCTION public.check_helper() RETURNS text LANGUAGE sql AS 'SELECT ''found''::text';
CREATE FUNCTION public.check_claims() RETURNS trigger LANGUAGE plpgsql AS $f$
BEGIN
    -- Unqualified on purpose: an app's trigger counts on the search_path of a request.
    NEW.seen := concat_ws(' ', current_user, auth.role(), coalesce(auth.uid()::text, '-'),
                          auth.jwt() ->> 'role', check_helper());
    RETURN NEW;
END
$f$;
CREATE TRIGGER check_claims BEFORE INSERT OR UPDATE ON public.check_app
    FOR EACH ROW EXECUTE FUNCTION public.check_claims();
CREATE TABLE public.check_late (who text);
CREATE FUNCTION public.check_deferred() RETURNS trigger LANGUAGE plpgsql AS $f$
BEGIN
    INSERT INTO check_late VALUES (current_user);
    IF NEW.name = 'late refusal' THEN
        RAISE check_violation USING MESSAGE = 'refused late';
    END IF;
    RETURN NULL;
END
$f$;
CREATE CONSTRAINT TRIGGER check_deferred AFTER INSERT ON public.check_app DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION public.check_deferred();
CREATE FUNCTION public.check_swallow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';

DO $profile$
DECLARE
    ann CONSTANT uuid := '00000000-0000-4000-8000-000000000001';
    bob CONSTANT uuid := '00000000-0000-4000-8000-000000000002';
    call CONSTANT text := 'SELECT basalt.profile_write(%L, %L, %L)';
    row_ jsonb;
    c record;
BEGIN
    PERFORM set_config('request.jwt.claims', '{"role":"before","sub":"' || bob || '"}', true),
            set_config('request.jwt.claim.sub', bob::text, true);
    SET LOCAL ROLE supabase_auth_admin;
    PERFORM basalt.profile_write('public.check_app', ann,
        '{"name":"Ann \" '' ; --","tags":["a","b"],"score":"7"}');
    row_ := basalt.profile_read('public.check_app', ann);
    RESET ROLE;
    PERFORM pg_temp.check_that(format('a profile is written with the types of its columns: %s', row_),
        row_ = jsonb_build_object('id', ann, 'name', 'Ann " '' ; --', 'tags', '["a","b"]'::jsonb,
            'score', 7, 'twice', 14, 'seen', 'service_role service_role - service_role found'));
    PERFORM pg_temp.check_that('claims are as the caller left them',
        current_setting('request.jwt.claims') = '{"role":"before","sub":"' || bob || '"}'
        AND current_setting('request.jwt.claim.sub') = bob::text
        AND current_setting('request.jwt.claim.role') = ''
        AND current_setting('search_path') = 'pg_catalog');
    PERFORM pg_temp.check_that('deferred triggers have run, as service_role',
        (SELECT string_agg(who, ',') = 'service_role' FROM public.check_late));
    SET CONSTRAINTS ALL DEFERRED;

    SET LOCAL ROLE supabase_auth_admin;
    PERFORM basalt.profile_write('public.check_app', ann, '{"score":8}');
    row_ := basalt.profile_read('public.check_app', ann);
    PERFORM basalt.profile_write('public.check_app', ann, '{}'), basalt.profile_write('public.check_app', ann, NULL),
            basalt.profile_write('public.check_app', bob, '{}');
    PERFORM basalt.profile_write('public."Check App"', ann, '{"Full Name":"Ann"}');
    RESET ROLE;
    PERFORM pg_temp.check_that('only given fields of an existing row change',
        row_ ->> 'score' = '8' AND row_ ->> 'name' = 'Ann " '' ; --');
    PERFORM pg_temp.check_that('no field: the row is made or left', (SELECT count(*) = 2 FROM public.check_app)
        AND (SELECT score = 8 FROM public.check_app WHERE id = ann));
    PERFORM pg_temp.check_that('quoted names', (SELECT "Full Name" = 'Ann' FROM public."Check App"));
    PERFORM pg_temp.check_that('reading what is not there',
        basalt.profile_read('public."Check App"', bob) IS NULL);

    -- PostgreSQL 16 made to_regclass() return NULL for what is no name.
    PERFORM pg_temp.check_that('SQL in the table name', pg_temp.outcome('supabase_auth_admin',
        format(call, 'public.check_app; DROP TABLE public.check_app', ann, '{}')) IN ('42602', '42P01'));
    FOR c IN SELECT * FROM (VALUES
        ('public.check_none', '{"name":"x"}',                          '42P01', 'no such table'),
        ('nowhere.check_app', '{"name":"x"}',                          '42P01', 'no such schema'),
        ('public.check_app', '{"is_admin":true}',                      '42703', 'no such column'),
        ('public.check_app', '{"name\" = ''x'', \"score":1}',          '42703', 'SQL in a field name'),
        ('public.check_app', '{"id":"00000000-0000-4000-8000-0000000000ff"}', '42501', 'the key as a field'),
        ('public.check_app', '{"twice":4}',                            '428C9', 'a generated column'),
        ('public.check_app', '{"score":"seven"}',                      '22P02', 'a wrong type'),
        ('public.check_app', '{"tags":"a"}',                           '22P02', 'a scalar for an array'),
        ('public.check_app', '["name"]',                               '22023', 'no object'),
        ('public.check_app', '{"name":"late refusal"}',                '23514', 'a deferred trigger'),
        ('public."Check App"', '{"Full Name":"refused"}',              '23514', 'a check constraint'),
        ('auth.users', '{"email":"x"}',                                '42501', 'a table that is not the app''s'),
        ('basalt.secret', '{"name":"x"}',                              '42501', 'a secret')
    ) AS v(target, fields, wanted, what) LOOP
        PERFORM pg_temp.expect('supabase_auth_admin',
            format(call, c.target, '00000000-0000-4000-8000-0000000000fe', c.fields), c.wanted);
    END LOOP;
    CREATE TRIGGER check_swallow BEFORE INSERT ON public."Check App"
        FOR EACH ROW EXECUTE FUNCTION public.check_swallow();
    PERFORM pg_temp.expect('supabase_auth_admin', format(call, 'public."Check App"', bob, '{"Full Name":"Bob"}'), '09000'),
            pg_temp.expect('supabase_auth_admin', format(call, 'public."Check App"', bob, '{}'), '09000'),
            pg_temp.expect('supabase_auth_admin', format(call, 'public."Check App"', ann, '{}'), '00000');
    FOR c IN SELECT unnest(ARRAY['anon', 'authenticated', 'authenticator', 'supabase_storage_admin']) AS who LOOP
        PERFORM pg_temp.expect(c.who, format(call, 'public.check_app', ann, '{"score":9}'), '42501'),
                pg_temp.expect(c.who, format('SELECT basalt.profile_read(%L, %L)', 'public.check_app', ann), '42501');
    END LOOP;
    PERFORM set_config('request.jwt.claims', '', true), set_config('request.jwt.claim.sub', '', true);
END
$profile$;

-- public.profiles: who sees and changes what.
DO $profiles$
DECLARE
    ann CONSTANT uuid := '00000000-0000-4000-8000-000000000001';
    bob CONSTANT uuid := '00000000-0000-4000-8000-000000000002';
    c record;
    n bigint;
BEGIN
    PERFORM pg_temp.check_that('a new project has public.profiles, and says so',
        to_regclass('public.profiles') IS NOT NULL
        AND (SELECT value = 'public.profiles' FROM basalt.setting WHERE name = 'profile_table'));
    INSERT INTO auth.users (id, created_at) VALUES (ann, now()), (bob, now());
    SET LOCAL ROLE supabase_auth_admin;
    PERFORM basalt.profile_write('public.profiles', ann, '{"name":"Ann","role":"Creator"}'),
            basalt.profile_write('public.profiles', bob, '{"country":"DE","annual_income":50000}');
    RESET ROLE;
    PERFORM pg_temp.check_that('defaults of a profile', (
        SELECT role = 'basic_user' AND NOT onboarding_completed AND created_at IS NOT NULL
               AND basalt.profile_read('public.profiles', bob) ->> 'annual_income' = '50000'
        FROM public.profiles WHERE id = bob));
    PERFORM pg_temp.check_that('the kept plan writes what it was given', (
        SELECT name = 'Ann' AND role = 'Creator' FROM public.profiles WHERE id = ann));

    PERFORM set_config('request.jwt.claims', jsonb_build_object('sub', ann, 'role', 'authenticated')::text, true);
    SET LOCAL ROLE authenticated;
    SELECT count(*) INTO n FROM public.profiles;
    PERFORM pg_temp.check_that('a user sees the own row alone', n = 1);
    UPDATE public.profiles SET full_name = 'Ann A', onboarding_completed = true;
    GET DIAGNOSTICS n = ROW_COUNT;
    PERFORM pg_temp.check_that('a user changes the own row alone', n = 1);
    RESET ROLE;
    FOR c IN SELECT * FROM (VALUES
        ('authenticated', 'UPDATE public.profiles SET role = ''Brand'''),
        ('authenticated', 'UPDATE public.profiles SET id = gen_random_uuid()'),
        ('authenticated', 'UPDATE public.profiles SET created_at = now()'),
        ('authenticated', 'UPDATE public.profiles SET updated_at = now()'),
        ('authenticated', 'INSERT INTO public.profiles (id) VALUES (gen_random_uuid())'),
        ('authenticated', 'DELETE FROM public.profiles'),
        ('authenticated', 'TRUNCATE public.profiles'),
        ('anon',          'SELECT FROM public.profiles'),
        ('anon',          'UPDATE public.profiles SET name = ''x'''),
        ('authenticator', 'SELECT FROM public.profiles'),
        ('supabase_auth_admin', 'SELECT id FROM public.profiles'),
        ('anon',          'SELECT FROM auth.users'),
        ('authenticated', 'SELECT FROM basalt.secret'),
        ('authenticator', 'SELECT FROM basalt.setting'),
        ('supabase_storage_admin', 'SELECT FROM basalt.audit_event'),
        ('postgres', 'SELECT FROM basalt.mail'),
        ('authenticated', 'SELECT FROM basalt.mail_state'),
        ('postgres', 'SELECT FROM basalt.job'),
        ('authenticator', 'INSERT INTO basalt.job (kind) VALUES (''x'')'),
        ('supabase_storage_admin', 'SELECT FROM basalt.job'),
        ('service_role',  'SELECT FROM basalt.secret')
    ) AS v(who, line) LOOP
        PERFORM pg_temp.expect(c.who, c.line, '42501');
    END LOOP;
    PERFORM pg_temp.expect('service_role', 'UPDATE public.profiles SET role = ''Brand''', '00000'),
            pg_temp.expect('service_role', 'UPDATE public.profiles SET annual_income = ''NaN''', '23514'),
            pg_temp.expect('supabase_storage_admin', 'INSERT INTO basalt.audit_event (id, name, outcome)'
                ' VALUES (gen_random_uuid(), ''x'', ''ok'')', '00000');
    DELETE FROM auth.users WHERE id = bob;
    PERFORM pg_temp.check_that('a profile goes with its user',
        (SELECT count(*) = 1 FROM public.profiles));
    DELETE FROM auth.users WHERE id = ann;
    PERFORM set_config('request.jwt.claims', '', true);
END
$profiles$;

-- Cache invalidation. basalt.cache_told counts what a transaction sends, so silence can be seen here.
CREATE FUNCTION pg_temp.told() RETURNS integer LANGUAGE plpgsql AS $f$
DECLARE
    n CONSTANT integer := coalesce(nullif(current_setting('basalt.cache_told', true), ''), '0');
BEGIN
    PERFORM set_config('basalt.cache_told', '', true);
    RETURN n;
END
$f$;

DO $cache$
DECLARE
    old_ CONSTANT uuid := '00000000-0000-4000-8000-000000000001';
    new_ CONSTANT uuid := '00000000-0000-4000-8000-000000000002';
    c record;
BEGIN
    -- A user of long ago: made "in this transaction" by xmin, but not by created_at.
    INSERT INTO auth.users (id, email, created_at, updated_at) VALUES (old_, 'o@example.test', now() - interval '1 day', now());
    PERFORM pg_temp.told();

    -- A signup, in the order of Supabase Auth, with its session; then a login and a refresh.
    INSERT INTO auth.users (id, email, created_at) VALUES (new_, 'n@example.test', now());
    INSERT INTO auth.identities (user_id, provider, provider_id, identity_data)
        VALUES (new_, 'email', new_::text, '{}');
    UPDATE auth.users SET role = 'authenticated', raw_app_meta_data = '{"provider":"email"}' WHERE id = new_;
    INSERT INTO auth.sessions (id, user_id) VALUES (old_, new_), (new_, new_);
    INSERT INTO auth.refresh_tokens (token, user_id, session_id) VALUES ('t', new_, new_);
    UPDATE auth.users SET last_sign_in_at = now(), updated_at = now(), encrypted_password = 'x' WHERE id = old_;
    UPDATE auth.users SET email = email, raw_user_meta_data = raw_user_meta_data, last_sign_in_at = now() WHERE id = old_;
    UPDATE auth.identities SET last_sign_in_at = now(), updated_at = now() WHERE user_id = new_;
    UPDATE auth.identities SET identity_data = identity_data WHERE user_id = new_;
    UPDATE auth.sessions SET refreshed_at = now(), user_agent = 'x', ip = '::1' WHERE id = new_;
    UPDATE auth.refresh_tokens SET revoked = true, updated_at = now();
    PERFORM pg_temp.check_that('signup, login and refresh are silent', pg_temp.told() = 0);

    FOR c IN SELECT * FROM (VALUES
        (1, 'UPDATE auth.users SET banned_until = now() WHERE id = $1', 1),
        (2, 'UPDATE auth.users SET raw_user_meta_data = ''{"a":1}'' WHERE id = $1', 1),
        (3, 'UPDATE auth.users SET email_confirmed_at = now() WHERE id = $1', 1),
        (4, 'UPDATE auth.users SET deleted_at = now(), is_anonymous = true WHERE id = $1', 1),
        (5, 'INSERT INTO auth.identities (user_id, provider, provider_id, identity_data) VALUES ($1, ''x'', ''1'', ''{}'')', 1),
        (6, 'UPDATE auth.identities SET identity_data = ''{"b":1}'' WHERE user_id = $1', 2),
        (7, 'DELETE FROM auth.identities WHERE user_id = $1', 1),
        (8, 'INSERT INTO auth.mfa_factors (id, user_id, factor_type, status, created_at, updated_at)'
            ' VALUES ($1, $1, ''totp'', ''verified'', now(), now())', 1),
        (9, 'DELETE FROM auth.sessions WHERE id = $1', 1),
        (10, 'DELETE FROM auth.sessions WHERE id = $1', 0),
        (11, 'DELETE FROM auth.users WHERE id = $1', 2), -- the user, and its factor
        (12, 'INSERT INTO basalt.secret (name, value) VALUES ($1::text, ''x'')', 1),
        (13, 'UPDATE basalt.secret SET value = ''y'' WHERE name = $1::text', 1),
        (14, 'DELETE FROM basalt.secret WHERE name = $1::text', 1)
    ) AS v(step, line, wanted) ORDER BY 1 LOOP
        EXECUTE c.line USING old_;
        PERFORM pg_temp.check_that(format('%s tells %s', c.line, c.wanted), pg_temp.told() = c.wanted);
    END LOOP;

    -- Many sessions in one statement: a payload for each user instead.
    INSERT INTO auth.sessions (id, user_id) SELECT gen_random_uuid(), new_ FROM generate_series(1, 150);
    DELETE FROM auth.sessions;
    PERFORM pg_temp.check_that('150 sessions of one user are one payload', pg_temp.told() = 1);
    INSERT INTO auth.sessions (id, user_id) SELECT gen_random_uuid(), new_ FROM generate_series(1, 100);
    DELETE FROM auth.sessions;
    PERFORM pg_temp.check_that('100 sessions are 100 payloads', pg_temp.told() = 100);
    TRUNCATE auth.users CASCADE;
    PERFORM pg_temp.check_that('TRUNCATE tells', pg_temp.told() > 0);
END
$cache$;

ROLLBACK;
