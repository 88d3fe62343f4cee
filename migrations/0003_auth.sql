-- SPDX-License-Identifier: Apache-2.0
--
-- Schema `auth`: the schema that Supabase Auth has at its migration 20260625000000, object for
-- object, since the names here are public API: apps put triggers, foreign keys, policies and dumps
-- on them. Every object belongs to supabase_auth_admin.
--
-- Where auth.users exists already (a database that Supabase made), nothing of it is changed; what
-- later releases of Supabase Auth added is filled in.

-- The schema, and whether this is a new one. Two settings live to the end of the transaction:
-- basalt.auth_mode ('new' makes everything, 'fill' adds what is missing) and basalt.caller.
DO $schema$
DECLARE
    admin   CONSTANT regrole := 'supabase_auth_admin';
    v16     boolean := current_setting('server_version_num')::int >= 160000;
    becomes boolean := pg_has_role(admin, CASE WHEN v16 THEN 'SET' ELSE 'MEMBER' END);
    holder  oid := (SELECT nspowner FROM pg_namespace WHERE nspname = 'auth');
BEGIN
    IF holder IS NULL THEN
        CREATE SCHEMA auth AUTHORIZATION supabase_auth_admin;
    ELSIF holder <> admin AND pg_has_role(holder, 'USAGE') THEN
        GRANT ALL ON SCHEMA auth TO supabase_auth_admin; -- an app's own `auth`, say with auth.uid()
    END IF;
    IF EXISTS (SELECT FROM pg_class WHERE relnamespace = 'auth'::regnamespace AND relname = 'users') THEN
        IF (SELECT count(*) FROM pg_attribute
            WHERE attrelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'auth'::regnamespace
                               AND relname IN ('users', 'identities'))
              AND attname IN ('encrypted_password', 'raw_app_meta_data', 'is_sso_user', 'provider_id')
              AND NOT attisdropped) < 4 THEN
            RAISE EXCEPTION 'table auth.users exists, but is not the one of Supabase Auth 2.130 or later'
                USING HINT = 'Let a newer Supabase Auth migrate this database first, or use another database.';
        END IF;
        PERFORM set_config('basalt.auth_mode', 'fill', true);
    ELSE
        PERFORM set_config('basalt.auth_mode', 'new', true);
    END IF;
    PERFORM set_config('basalt.caller', current_user, true);
    IF becomes THEN
        SET LOCAL ROLE supabase_auth_admin;
    END IF;
END
$schema$;

DO $tables$
BEGIN
    IF current_setting('basalt.auth_mode') <> 'new' THEN
        RETURN;
    END IF;

    CREATE TYPE auth.aal_level AS ENUM ('aal1', 'aal2', 'aal3');
    CREATE TYPE auth.code_challenge_method AS ENUM ('s256', 'plain');
    CREATE TYPE auth.factor_status AS ENUM ('unverified', 'verified');
    CREATE TYPE auth.factor_type AS ENUM ('totp', 'webauthn', 'phone');
    CREATE TYPE auth.one_time_token_type AS ENUM ('confirmation_token', 'reauthentication_token',
        'recovery_token', 'email_change_token_new', 'email_change_token_current', 'phone_change_token');
    CREATE TYPE auth.oauth_registration_type AS ENUM ('dynamic', 'manual');
    CREATE TYPE auth.oauth_client_type AS ENUM ('public', 'confidential');
    CREATE TYPE auth.oauth_authorization_status AS ENUM ('pending', 'approved', 'denied', 'expired');
    CREATE TYPE auth.oauth_response_type AS ENUM ('code');

    -- ---- accounts and sessions --------------------------------------------------------------

    CREATE TABLE auth.users (
        instance_id                 uuid,
        id                          uuid NOT NULL CONSTRAINT users_pkey PRIMARY KEY,
        aud                         varchar(255),
        role                        varchar(255),
        email                       varchar(255),
        encrypted_password          varchar(255),
        email_confirmed_at          timestamptz,
        invited_at                  timestamptz,
        confirmation_token          varchar(255),
        confirmation_sent_at        timestamptz,
        recovery_token              varchar(255),
        recovery_sent_at            timestamptz,
        email_change_token_new      varchar(255),
        email_change                varchar(255),
        email_change_sent_at        timestamptz,
        last_sign_in_at             timestamptz,
        raw_app_meta_data           jsonb,
        raw_user_meta_data          jsonb,
        is_super_admin              boolean,
        created_at                  timestamptz,
        updated_at                  timestamptz,
        phone                       text DEFAULT NULL::varchar CONSTRAINT users_phone_key UNIQUE,
        phone_confirmed_at          timestamptz,
        phone_change                text DEFAULT ''::varchar,
        phone_change_token          varchar(255) DEFAULT '',
        phone_change_sent_at        timestamptz,
        confirmed_at                timestamptz
            GENERATED ALWAYS AS (LEAST(email_confirmed_at, phone_confirmed_at)) STORED,
        email_change_token_current  varchar(255) DEFAULT '',
        email_change_confirm_status smallint DEFAULT 0
            CONSTRAINT users_email_change_confirm_status_check
            CHECK (email_change_confirm_status >= 0 AND email_change_confirm_status <= 2),
        banned_until                timestamptz,
        reauthentication_token      varchar(255) DEFAULT '',
        reauthentication_sent_at    timestamptz,
        is_sso_user                 boolean NOT NULL DEFAULT false,
        deleted_at                  timestamptz,
        is_anonymous                boolean NOT NULL DEFAULT false
    )
    -- Each login updates last_sign_in_at in place, if the page has room for the new version.
    WITH (fillfactor = 90);
    CREATE UNIQUE INDEX users_email_partial_key ON auth.users (email) WHERE is_sso_user = false;
    CREATE UNIQUE INDEX confirmation_token_idx ON auth.users (confirmation_token)
        WHERE confirmation_token !~ '^[0-9 ]*$';
    CREATE UNIQUE INDEX recovery_token_idx ON auth.users (recovery_token)
        WHERE recovery_token !~ '^[0-9 ]*$';
    CREATE UNIQUE INDEX email_change_token_new_idx ON auth.users (email_change_token_new)
        WHERE email_change_token_new !~ '^[0-9 ]*$';
    CREATE UNIQUE INDEX email_change_token_current_idx ON auth.users (email_change_token_current)
        WHERE email_change_token_current !~ '^[0-9 ]*$';
    CREATE UNIQUE INDEX reauthentication_token_idx ON auth.users (reauthentication_token)
        WHERE reauthentication_token !~ '^[0-9 ]*$';
    CREATE INDEX users_instance_id_email_idx ON auth.users (instance_id, lower(email));
    CREATE INDEX users_instance_id_idx ON auth.users (instance_id);
    CREATE INDEX users_is_anonymous_idx ON auth.users (is_anonymous);

    CREATE TABLE auth.identities (
        provider_id     text NOT NULL,
        user_id         uuid NOT NULL CONSTRAINT identities_user_id_fkey
                        REFERENCES auth.users (id) ON DELETE CASCADE,
        identity_data   jsonb NOT NULL,
        provider        text NOT NULL,
        last_sign_in_at timestamptz,
        created_at      timestamptz,
        updated_at      timestamptz,
        email           text GENERATED ALWAYS AS (lower(identity_data ->> 'email')) STORED,
        id              uuid NOT NULL DEFAULT gen_random_uuid() CONSTRAINT identities_pkey PRIMARY KEY,
        CONSTRAINT identities_provider_id_provider_unique UNIQUE (provider_id, provider)
    );
    CREATE INDEX identities_email_idx ON auth.identities (email text_pattern_ops);
    CREATE INDEX identities_user_id_idx ON auth.identities (user_id);

    CREATE TABLE auth.oauth_clients (
        id                         uuid NOT NULL CONSTRAINT oauth_clients_pkey PRIMARY KEY,
        client_secret_hash         text,
        registration_type          auth.oauth_registration_type NOT NULL,
        redirect_uris              text NOT NULL,
        grant_types                text NOT NULL,
        client_name                text CONSTRAINT oauth_clients_client_name_length
                                   CHECK (char_length(client_name) <= 1024),
        client_uri                 text CONSTRAINT oauth_clients_client_uri_length
                                   CHECK (char_length(client_uri) <= 2048),
        logo_uri                   text CONSTRAINT oauth_clients_logo_uri_length
                                   CHECK (char_length(logo_uri) <= 2048),
        created_at                 timestamptz NOT NULL DEFAULT now(),
        updated_at                 timestamptz NOT NULL DEFAULT now(),
        deleted_at                 timestamptz,
        client_type                auth.oauth_client_type NOT NULL DEFAULT 'confidential',
        token_endpoint_auth_method text NOT NULL
            CONSTRAINT oauth_clients_token_endpoint_auth_method_check CHECK (token_endpoint_auth_method
                IN ('client_secret_basic', 'client_secret_post', 'none'))
    );
    CREATE INDEX oauth_clients_deleted_at_idx ON auth.oauth_clients (deleted_at);

    CREATE TABLE auth.sessions (
        id                     uuid NOT NULL CONSTRAINT sessions_pkey PRIMARY KEY,
        user_id                uuid NOT NULL CONSTRAINT sessions_user_id_fkey
                               REFERENCES auth.users (id) ON DELETE CASCADE,
        created_at             timestamptz,
        updated_at             timestamptz,
        factor_id              uuid,
        aal                    auth.aal_level,
        not_after              timestamptz,
        refreshed_at           timestamp,
        user_agent             text,
        ip                     inet,
        tag                    text,
        oauth_client_id        uuid CONSTRAINT sessions_oauth_client_id_fkey
                               REFERENCES auth.oauth_clients (id) ON DELETE CASCADE,
        refresh_token_hmac_key text,
        refresh_token_counter  bigint,
        scopes                 text CONSTRAINT sessions_scopes_length
                               CHECK (char_length(scopes) <= 4096)
    )
    WITH (fillfactor = 90); -- each refresh updates refreshed_at in place
    CREATE INDEX sessions_user_id_idx ON auth.sessions (user_id);
    CREATE INDEX user_id_created_at_idx ON auth.sessions (user_id, created_at);
    CREATE INDEX sessions_not_after_idx ON auth.sessions (not_after DESC);
    CREATE INDEX sessions_oauth_client_id_idx ON auth.sessions (oauth_client_id);

    CREATE TABLE auth.refresh_tokens (
        instance_id uuid,
        id          bigserial CONSTRAINT refresh_tokens_pkey PRIMARY KEY,
        token       varchar(255) CONSTRAINT refresh_tokens_token_unique UNIQUE,
        user_id     varchar(255),
        revoked     boolean,
        created_at  timestamptz,
        updated_at  timestamptz,
        parent      varchar(255),
        session_id  uuid CONSTRAINT refresh_tokens_session_id_fkey
                    REFERENCES auth.sessions (id) ON DELETE CASCADE
    );
    CREATE INDEX refresh_tokens_instance_id_idx ON auth.refresh_tokens (instance_id);
    CREATE INDEX refresh_tokens_instance_id_user_id_idx ON auth.refresh_tokens (instance_id, user_id);
    CREATE INDEX refresh_tokens_parent_idx ON auth.refresh_tokens (parent);
    CREATE INDEX refresh_tokens_session_id_revoked_idx ON auth.refresh_tokens (session_id, revoked);
    CREATE INDEX refresh_tokens_updated_at_idx ON auth.refresh_tokens (updated_at DESC);

    CREATE TABLE auth.one_time_tokens (
        id         uuid NOT NULL CONSTRAINT one_time_tokens_pkey PRIMARY KEY,
        user_id    uuid NOT NULL CONSTRAINT one_time_tokens_user_id_fkey
                   REFERENCES auth.users (id) ON DELETE CASCADE,
        token_type auth.one_time_token_type NOT NULL,
        token_hash text NOT NULL CONSTRAINT one_time_tokens_token_hash_check
                   CHECK (char_length(token_hash) > 0),
        relates_to text NOT NULL,
        created_at timestamp NOT NULL DEFAULT now(),
        updated_at timestamp NOT NULL DEFAULT now()
    );
    CREATE INDEX one_time_tokens_token_hash_hash_idx ON auth.one_time_tokens USING hash (token_hash);
    CREATE INDEX one_time_tokens_relates_to_hash_idx ON auth.one_time_tokens USING hash (relates_to);
    CREATE UNIQUE INDEX one_time_tokens_user_id_token_type_key
        ON auth.one_time_tokens (user_id, token_type);

    CREATE TABLE auth.audit_log_entries (
        instance_id uuid,
        id          uuid NOT NULL CONSTRAINT audit_log_entries_pkey PRIMARY KEY,
        payload     json,
        created_at  timestamptz,
        ip_address  varchar(64) NOT NULL DEFAULT ''
    );
    CREATE INDEX audit_logs_instance_id_idx ON auth.audit_log_entries (instance_id);

    -- ---- second factors and passkeys --------------------------------------------------------

    CREATE TABLE auth.mfa_factors (
        id                           uuid NOT NULL CONSTRAINT mfa_factors_pkey PRIMARY KEY,
        user_id                      uuid NOT NULL CONSTRAINT mfa_factors_user_id_fkey
                                     REFERENCES auth.users (id) ON DELETE CASCADE,
        friendly_name                text,
        factor_type                  auth.factor_type NOT NULL,
        status                       auth.factor_status NOT NULL,
        created_at                   timestamptz NOT NULL,
        updated_at                   timestamptz NOT NULL,
        secret                       text,
        phone                        text,
        last_challenged_at           timestamptz
                                     CONSTRAINT mfa_factors_last_challenged_at_key UNIQUE,
        web_authn_credential         jsonb,
        web_authn_aaguid             uuid,
        last_webauthn_challenge_data jsonb
    );
    CREATE UNIQUE INDEX mfa_factors_user_friendly_name_unique
        ON auth.mfa_factors (friendly_name, user_id) WHERE TRIM(BOTH FROM friendly_name) <> '';
    CREATE UNIQUE INDEX unique_phone_factor_per_user ON auth.mfa_factors (user_id, phone);
    CREATE INDEX factor_id_created_at_idx ON auth.mfa_factors (user_id, created_at);
    CREATE INDEX mfa_factors_user_id_idx ON auth.mfa_factors (user_id);

    CREATE TABLE auth.mfa_challenges (
        id                     uuid NOT NULL CONSTRAINT mfa_challenges_pkey PRIMARY KEY,
        factor_id              uuid NOT NULL CONSTRAINT mfa_challenges_auth_factor_id_fkey
                               REFERENCES auth.mfa_factors (id) ON DELETE CASCADE,
        created_at             timestamptz NOT NULL,
        verified_at            timestamptz,
        ip_address             inet NOT NULL,
        otp_code               text,
        web_authn_session_data jsonb
    );
    CREATE INDEX mfa_challenge_created_at_idx ON auth.mfa_challenges (created_at DESC);

    CREATE TABLE auth.mfa_amr_claims (
        session_id            uuid NOT NULL CONSTRAINT mfa_amr_claims_session_id_fkey
                              REFERENCES auth.sessions (id) ON DELETE CASCADE,
        created_at            timestamptz NOT NULL,
        updated_at            timestamptz NOT NULL,
        authentication_method text NOT NULL,
        id                    uuid NOT NULL CONSTRAINT amr_id_pk PRIMARY KEY,
        CONSTRAINT mfa_amr_claims_session_id_authentication_method_pkey
            UNIQUE (session_id, authentication_method)
    );

    -- ---- sign-in through others: flows, SSO, SAML -------------------------------------------

    CREATE TABLE auth.flow_state (
        id                     uuid NOT NULL CONSTRAINT flow_state_pkey PRIMARY KEY,
        user_id                uuid,
        auth_code              text,
        code_challenge_method  auth.code_challenge_method,
        code_challenge         text,
        provider_type          text NOT NULL,
        provider_access_token  text,
        provider_refresh_token text,
        created_at             timestamptz,
        updated_at             timestamptz,
        authentication_method  text NOT NULL,
        auth_code_issued_at    timestamptz,
        invite_token           text,
        referrer               text,
        oauth_client_state_id  uuid,
        linking_target_id      uuid,
        email_optional         boolean NOT NULL DEFAULT false
    );
    CREATE INDEX idx_auth_code ON auth.flow_state (auth_code);
    CREATE INDEX idx_user_id_auth_method ON auth.flow_state (user_id, authentication_method);
    CREATE INDEX flow_state_created_at_idx ON auth.flow_state (created_at DESC);

    CREATE TABLE auth.sso_providers (
        id          uuid NOT NULL CONSTRAINT sso_providers_pkey PRIMARY KEY,
        resource_id text CONSTRAINT "resource_id not empty"
                    CHECK (resource_id = NULL::text OR char_length(resource_id) > 0),
        created_at  timestamptz,
        updated_at  timestamptz,
        disabled    boolean
    );
    CREATE UNIQUE INDEX sso_providers_resource_id_idx ON auth.sso_providers (lower(resource_id));
    CREATE INDEX sso_providers_resource_id_pattern_idx
        ON auth.sso_providers (resource_id text_pattern_ops);

    CREATE TABLE auth.sso_domains (
        id              uuid NOT NULL CONSTRAINT sso_domains_pkey PRIMARY KEY,
        sso_provider_id uuid NOT NULL CONSTRAINT sso_domains_sso_provider_id_fkey
                        REFERENCES auth.sso_providers (id) ON DELETE CASCADE,
        domain          text NOT NULL CONSTRAINT "domain not empty" CHECK (char_length(domain) > 0),
        created_at      timestamptz,
        updated_at      timestamptz
    );
    CREATE UNIQUE INDEX sso_domains_domain_idx ON auth.sso_domains (lower(domain));
    CREATE INDEX sso_domains_sso_provider_id_idx ON auth.sso_domains (sso_provider_id);

    CREATE TABLE auth.saml_providers (
        id                uuid NOT NULL CONSTRAINT saml_providers_pkey PRIMARY KEY,
        sso_provider_id   uuid NOT NULL CONSTRAINT saml_providers_sso_provider_id_fkey
                          REFERENCES auth.sso_providers (id) ON DELETE CASCADE,
        entity_id         text NOT NULL CONSTRAINT saml_providers_entity_id_key UNIQUE
                          CONSTRAINT "entity_id not empty" CHECK (char_length(entity_id) > 0),
        metadata_xml      text NOT NULL CONSTRAINT "metadata_xml not empty"
                          CHECK (char_length(metadata_xml) > 0),
        metadata_url      text CONSTRAINT "metadata_url not empty"
                          CHECK (metadata_url = NULL::text OR char_length(metadata_url) > 0),
        attribute_mapping jsonb,
        created_at        timestamptz,
        updated_at        timestamptz,
        name_id_format    text
    );
    CREATE INDEX saml_providers_sso_provider_id_idx ON auth.saml_providers (sso_provider_id);

    CREATE TABLE auth.saml_relay_states (
        id              uuid NOT NULL CONSTRAINT saml_relay_states_pkey PRIMARY KEY,
        sso_provider_id uuid NOT NULL CONSTRAINT saml_relay_states_sso_provider_id_fkey
                        REFERENCES auth.sso_providers (id) ON DELETE CASCADE,
        request_id      text NOT NULL CONSTRAINT "request_id not empty"
                        CHECK (char_length(request_id) > 0),
        for_email       text,
        redirect_to     text,
        created_at      timestamptz,
        updated_at      timestamptz,
        flow_state_id   uuid CONSTRAINT saml_relay_states_flow_state_id_fkey
                        REFERENCES auth.flow_state (id) ON DELETE CASCADE
    );
    CREATE INDEX saml_relay_states_sso_provider_id_idx ON auth.saml_relay_states (sso_provider_id);
    CREATE INDEX saml_relay_states_for_email_idx ON auth.saml_relay_states (for_email);
    CREATE INDEX saml_relay_states_created_at_idx ON auth.saml_relay_states (created_at DESC);

    -- ---- bookkeeping ------------------------------------------------------------------------

    CREATE TABLE auth.instances (
        id              uuid NOT NULL CONSTRAINT instances_pkey PRIMARY KEY,
        uuid            uuid,
        raw_base_config text,
        created_at      timestamptz,
        updated_at      timestamptz
    );

    CREATE TABLE auth.schema_migrations (
        version varchar(255) NOT NULL CONSTRAINT schema_migrations_pkey PRIMARY KEY
    );
END
$tables$;

-- Tables that Supabase Auth added since 2025; a database it made earlier may lack them.
DO $later$
BEGIN
    IF to_regclass('auth.oauth_clients') IS NULL THEN
        RAISE NOTICE 'auth.oauth_clients is missing: let Supabase Auth migrate this database';
        RETURN;
    END IF;

    IF to_regclass('auth.oauth_authorizations') IS NULL THEN
        CREATE TABLE auth.oauth_authorizations (
            id                    uuid NOT NULL CONSTRAINT oauth_authorizations_pkey PRIMARY KEY,
            authorization_id      text NOT NULL
                CONSTRAINT oauth_authorizations_authorization_id_key UNIQUE,
            client_id             uuid NOT NULL CONSTRAINT oauth_authorizations_client_id_fkey
                                  REFERENCES auth.oauth_clients (id) ON DELETE CASCADE,
            user_id               uuid CONSTRAINT oauth_authorizations_user_id_fkey
                                  REFERENCES auth.users (id) ON DELETE CASCADE,
            redirect_uri          text NOT NULL CONSTRAINT oauth_authorizations_redirect_uri_length
                                  CHECK (char_length(redirect_uri) <= 2048),
            scope                 text NOT NULL CONSTRAINT oauth_authorizations_scope_length
                                  CHECK (char_length(scope) <= 4096),
            state                 text CONSTRAINT oauth_authorizations_state_length
                                  CHECK (char_length(state) <= 4096),
            resource              text CONSTRAINT oauth_authorizations_resource_length
                                  CHECK (char_length(resource) <= 2048),
            code_challenge        text CONSTRAINT oauth_authorizations_code_challenge_length
                                  CHECK (char_length(code_challenge) <= 128),
            code_challenge_method auth.code_challenge_method,
            response_type         auth.oauth_response_type NOT NULL DEFAULT 'code',
            status                auth.oauth_authorization_status NOT NULL DEFAULT 'pending',
            authorization_code    text CONSTRAINT oauth_authorizations_authorization_code_key UNIQUE
                                  CONSTRAINT oauth_authorizations_authorization_code_length
                                  CHECK (char_length(authorization_code) <= 255),
            created_at            timestamptz NOT NULL DEFAULT now(),
            expires_at            timestamptz NOT NULL DEFAULT now() + interval '3 minutes',
            approved_at           timestamptz,
            nonce                 text CONSTRAINT oauth_authorizations_nonce_length
                                  CHECK (char_length(nonce) <= 255),
            CONSTRAINT oauth_authorizations_expires_at_future CHECK (expires_at > created_at)
        );
        CREATE INDEX oauth_auth_pending_exp_idx ON auth.oauth_authorizations (expires_at)
            WHERE status = 'pending';
    END IF;

    IF to_regclass('auth.oauth_consents') IS NULL THEN
        CREATE TABLE auth.oauth_consents (
            id         uuid NOT NULL CONSTRAINT oauth_consents_pkey PRIMARY KEY,
            user_id    uuid NOT NULL CONSTRAINT oauth_consents_user_id_fkey
                       REFERENCES auth.users (id) ON DELETE CASCADE,
            client_id  uuid NOT NULL CONSTRAINT oauth_consents_client_id_fkey
                       REFERENCES auth.oauth_clients (id) ON DELETE CASCADE,
            scopes     text NOT NULL
                       CONSTRAINT oauth_consents_scopes_length CHECK (char_length(scopes) <= 2048)
                       CONSTRAINT oauth_consents_scopes_not_empty
                       CHECK (char_length(TRIM(BOTH FROM scopes)) > 0),
            granted_at timestamptz NOT NULL DEFAULT now(),
            revoked_at timestamptz,
            CONSTRAINT oauth_consents_user_client_unique UNIQUE (user_id, client_id),
            CONSTRAINT oauth_consents_revoked_after_granted
                CHECK (revoked_at IS NULL OR revoked_at >= granted_at)
        );
        CREATE INDEX oauth_consents_active_client_idx ON auth.oauth_consents (client_id)
            WHERE revoked_at IS NULL;
        CREATE INDEX oauth_consents_active_user_client_idx ON auth.oauth_consents (user_id, client_id)
            WHERE revoked_at IS NULL;
        CREATE INDEX oauth_consents_user_order_idx ON auth.oauth_consents (user_id, granted_at DESC);
    END IF;

    IF to_regclass('auth.oauth_client_states') IS NULL THEN
        CREATE TABLE auth.oauth_client_states (
            id            uuid NOT NULL CONSTRAINT oauth_client_states_pkey PRIMARY KEY,
            provider_type text NOT NULL,
            code_verifier text,
            created_at    timestamptz NOT NULL
        );
        CREATE INDEX idx_oauth_client_states_created_at ON auth.oauth_client_states (created_at);
    END IF;

    IF to_regclass('auth.custom_oauth_providers') IS NULL THEN
        CREATE TABLE auth.custom_oauth_providers (
            id                      uuid NOT NULL DEFAULT gen_random_uuid()
                                    CONSTRAINT custom_oauth_providers_pkey PRIMARY KEY,
            provider_type           text NOT NULL,
            identifier              text NOT NULL
                                    CONSTRAINT custom_oauth_providers_identifier_key UNIQUE,
            name                    text NOT NULL,
            client_id               text NOT NULL,
            client_secret           text NOT NULL,
            acceptable_client_ids   text[] NOT NULL DEFAULT '{}',
            scopes                  text[] NOT NULL DEFAULT '{}',
            pkce_enabled            boolean NOT NULL DEFAULT true,
            attribute_mapping       jsonb NOT NULL DEFAULT '{}',
            authorization_params    jsonb NOT NULL DEFAULT '{}',
            enabled                 boolean NOT NULL DEFAULT true,
            email_optional          boolean NOT NULL DEFAULT false,
            issuer                  text,
            discovery_url           text,
            skip_nonce_check        boolean NOT NULL DEFAULT false,
            cached_discovery        jsonb,
            discovery_cached_at     timestamptz,
            authorization_url       text,
            token_url               text,
            userinfo_url            text,
            jwks_uri                text,
            created_at              timestamptz NOT NULL DEFAULT now(),
            updated_at              timestamptz NOT NULL DEFAULT now(),
            custom_claims_allowlist text[] NOT NULL DEFAULT '{}',
            CONSTRAINT custom_oauth_providers_provider_type_check
                CHECK (provider_type IN ('oauth2', 'oidc')),
            CONSTRAINT custom_oauth_providers_identifier_format
                CHECK (identifier ~ '^[a-z0-9][a-z0-9:-]{0,48}[a-z0-9]$'),
            CONSTRAINT custom_oauth_providers_name_length
                CHECK (char_length(name) >= 1 AND char_length(name) <= 100),
            CONSTRAINT custom_oauth_providers_client_id_length
                CHECK (char_length(client_id) >= 1 AND char_length(client_id) <= 512),
            CONSTRAINT custom_oauth_providers_oauth2_requires_endpoints
                CHECK (provider_type <> 'oauth2' OR (authorization_url IS NOT NULL
                       AND token_url IS NOT NULL AND userinfo_url IS NOT NULL)),
            CONSTRAINT custom_oauth_providers_oidc_requires_issuer
                CHECK (provider_type <> 'oidc' OR issuer IS NOT NULL),
            CONSTRAINT custom_oauth_providers_oidc_issuer_https
                CHECK (provider_type <> 'oidc' OR issuer IS NULL OR issuer LIKE 'https://%'),
            CONSTRAINT custom_oauth_providers_oidc_discovery_url_https
                CHECK (provider_type <> 'oidc' OR discovery_url IS NULL
                       OR discovery_url LIKE 'https://%'),
            CONSTRAINT custom_oauth_providers_authorization_url_https
                CHECK (authorization_url IS NULL OR authorization_url LIKE 'https://%'),
            CONSTRAINT custom_oauth_providers_token_url_https
                CHECK (token_url IS NULL OR token_url LIKE 'https://%'),
            CONSTRAINT custom_oauth_providers_userinfo_url_https
                CHECK (userinfo_url IS NULL OR userinfo_url LIKE 'https://%'),
            CONSTRAINT custom_oauth_providers_jwks_uri_https
                CHECK (jwks_uri IS NULL OR jwks_uri LIKE 'https://%'),
            CONSTRAINT custom_oauth_providers_issuer_length
                CHECK (issuer IS NULL OR (char_length(issuer) >= 1 AND char_length(issuer) <= 2048)),
            CONSTRAINT custom_oauth_providers_discovery_url_length
                CHECK (discovery_url IS NULL OR char_length(discovery_url) <= 2048),
            CONSTRAINT custom_oauth_providers_authorization_url_length
                CHECK (authorization_url IS NULL OR char_length(authorization_url) <= 2048),
            CONSTRAINT custom_oauth_providers_token_url_length
                CHECK (token_url IS NULL OR char_length(token_url) <= 2048),
            CONSTRAINT custom_oauth_providers_userinfo_url_length
                CHECK (userinfo_url IS NULL OR char_length(userinfo_url) <= 2048),
            CONSTRAINT custom_oauth_providers_jwks_uri_length
                CHECK (jwks_uri IS NULL OR char_length(jwks_uri) <= 2048)
        );
        CREATE INDEX custom_oauth_providers_identifier_idx ON auth.custom_oauth_providers (identifier);
        CREATE INDEX custom_oauth_providers_provider_type_idx
            ON auth.custom_oauth_providers (provider_type);
        CREATE INDEX custom_oauth_providers_enabled_idx ON auth.custom_oauth_providers (enabled);
        CREATE INDEX custom_oauth_providers_created_at_idx ON auth.custom_oauth_providers (created_at);
    END IF;

    IF to_regclass('auth.webauthn_credentials') IS NULL THEN
        CREATE TABLE auth.webauthn_credentials (
            id               uuid NOT NULL DEFAULT gen_random_uuid()
                             CONSTRAINT webauthn_credentials_pkey PRIMARY KEY,
            user_id          uuid NOT NULL CONSTRAINT webauthn_credentials_user_id_fkey
                             REFERENCES auth.users (id) ON DELETE CASCADE,
            credential_id    bytea NOT NULL,
            public_key       bytea NOT NULL,
            attestation_type text NOT NULL DEFAULT '',
            aaguid           uuid,
            sign_count       bigint NOT NULL DEFAULT 0,
            transports       jsonb NOT NULL DEFAULT '[]',
            backup_eligible  boolean NOT NULL DEFAULT false,
            backed_up        boolean NOT NULL DEFAULT false,
            friendly_name    text NOT NULL DEFAULT '',
            created_at       timestamptz NOT NULL DEFAULT now(),
            updated_at       timestamptz NOT NULL DEFAULT now(),
            last_used_at     timestamptz
        );
        CREATE UNIQUE INDEX webauthn_credentials_credential_id_key
            ON auth.webauthn_credentials (credential_id);
        CREATE INDEX webauthn_credentials_user_id_idx ON auth.webauthn_credentials (user_id);
    END IF;

    IF to_regclass('auth.webauthn_challenges') IS NULL THEN
        CREATE TABLE auth.webauthn_challenges (
            id             uuid NOT NULL DEFAULT gen_random_uuid()
                           CONSTRAINT webauthn_challenges_pkey PRIMARY KEY,
            user_id        uuid CONSTRAINT webauthn_challenges_user_id_fkey
                           REFERENCES auth.users (id) ON DELETE CASCADE,
            challenge_type text NOT NULL CONSTRAINT webauthn_challenges_challenge_type_check
                           CHECK (challenge_type IN ('signup', 'registration', 'authentication')),
            session_data   jsonb NOT NULL,
            created_at     timestamptz NOT NULL DEFAULT now(),
            expires_at     timestamptz NOT NULL
        );
        CREATE INDEX webauthn_challenges_user_id_idx ON auth.webauthn_challenges (user_id);
        CREATE INDEX webauthn_challenges_expires_at_idx ON auth.webauthn_challenges (expires_at);
    END IF;
EXCEPTION WHEN insufficient_privilege THEN
    RAISE NOTICE 'tables of later Supabase Auth releases are missing in schema auth: %', SQLERRM;
END
$later$;

-- Columns that Supabase Auth added to older tables since 2.130.
DO $columns$
DECLARE
    c record;
    lacking text[] := '{}';
BEGIN
    FOR c IN
        SELECT v.* FROM (VALUES
            ('users',                  'is_anonymous',                 'boolean NOT NULL DEFAULT false'),
            ('sessions',               'oauth_client_id',              'uuid REFERENCES auth.oauth_clients (id) ON DELETE CASCADE'),
            ('sessions',               'refresh_token_hmac_key',       'text'),
            ('sessions',               'refresh_token_counter',        'bigint'),
            ('sessions',               'scopes',                       'text CHECK (char_length(scopes) <= 4096)'),
            ('flow_state',             'auth_code_issued_at',          'timestamptz'),
            ('flow_state',             'invite_token',                 'text'),
            ('flow_state',             'referrer',                     'text'),
            ('flow_state',             'oauth_client_state_id',        'uuid'),
            ('flow_state',             'linking_target_id',            'uuid'),
            ('flow_state',             'email_optional',               'boolean NOT NULL DEFAULT false'),
            ('mfa_factors',            'phone',                        'text'),
            ('mfa_factors',            'last_challenged_at',           'timestamptz UNIQUE'),
            ('mfa_factors',            'web_authn_credential',         'jsonb'),
            ('mfa_factors',            'web_authn_aaguid',             'uuid'),
            ('mfa_factors',            'last_webauthn_challenge_data', 'jsonb'),
            ('mfa_challenges',         'otp_code',                     'text'),
            ('mfa_challenges',         'web_authn_session_data',       'jsonb'),
            ('saml_providers',         'name_id_format',               'text'),
            ('sso_providers',          'disabled',                     'boolean'),
            ('oauth_authorizations',   'nonce',                        'text CHECK (char_length(nonce) <= 255)'),
            ('custom_oauth_providers', 'custom_claims_allowlist',      'text[] NOT NULL DEFAULT ''{}''')
        ) AS v(tab, col, definition)
        WHERE current_setting('basalt.auth_mode') = 'fill'
          AND NOT EXISTS (SELECT FROM pg_attribute a JOIN pg_class t ON t.oid = a.attrelid
                          WHERE t.relnamespace = 'auth'::regnamespace AND t.relname = v.tab
                            AND a.attname = v.col AND NOT a.attisdropped)
    LOOP
        BEGIN
            EXECUTE format('ALTER TABLE auth.%I ADD COLUMN %I %s', c.tab, c.col, c.definition);
        EXCEPTION
            WHEN undefined_table THEN
                NULL; -- said above
            WHEN insufficient_privilege THEN
                lacking := lacking || format('%s.%s', c.tab, c.col);
        END;
    END LOOP;
    IF lacking <> '{}' THEN
        RAISE EXCEPTION 'schema auth lacks columns that only its owner can add: %',
                array_to_string(lacking, ', ')
            USING HINT = 'Migrate as supabase_admin, or let Supabase Auth migrate this database first.';
    END IF;
END
$columns$;

-- Rights, only in a schema of our own making. RLS without a policy on the older tables: a role
-- that was granted one of them by mistake still sees no row; the owner is not subject to it.
DO $rights$
DECLARE
    guarded CONSTANT text[] := ARRAY['users', 'identities', 'sessions', 'refresh_tokens',
        'one_time_tokens', 'audit_log_entries', 'mfa_factors', 'mfa_challenges', 'mfa_amr_claims',
        'flow_state', 'sso_providers', 'sso_domains', 'saml_providers', 'saml_relay_states',
        'instances', 'schema_migrations'];
    grantee name;
    t text;
BEGIN
    IF current_setting('basalt.auth_mode') <> 'new' THEN
        RETURN;
    END IF;
    GRANT USAGE ON SCHEMA auth TO anon, authenticated, service_role;

    -- Who runs app migrations: `postgres`, and on an external database the caller. As Supabase does:
    -- migrations put triggers and foreign keys on auth.users, seeds insert into it, an app's
    -- delete_my_account() deletes from it.
    FOR grantee IN
        SELECT rolname FROM pg_roles
        WHERE (rolname = 'postgres' AND pg_has_role(current_setting('basalt.caller'), oid, 'MEMBER'))
           OR (rolname = current_setting('basalt.caller') AND NOT rolsuper)
    LOOP
        EXECUTE format('GRANT USAGE ON SCHEMA auth TO %I', grantee);
        FOREACH t IN ARRAY guarded LOOP
            EXECUTE format('GRANT SELECT ON auth.%I TO %I WITH GRANT OPTION', t, grantee);
            IF t <> 'schema_migrations' THEN
                EXECUTE format('GRANT ALL ON auth.%I TO %I', t, grantee);
            END IF;
        END LOOP;
        EXECUTE format('GRANT ALL ON SEQUENCE auth.refresh_tokens_id_seq TO %I', grantee);
    END LOOP;

    FOREACH t IN ARRAY guarded LOOP
        EXECUTE format('ALTER TABLE auth.%I ENABLE ROW LEVEL SECURITY', t);
    END LOOP;

    -- A Supabase Auth that connects later takes each of its migrations for done by its own row.
    INSERT INTO auth.schema_migrations (version)
    SELECT unnest(ARRAY[
        '00', '20171026211738', '20171026211808', '20171026211834', '20180103212743',
        '20180108183307', '20180119214651', '20180125194653', '20210710035447', '20210722035447',
        '20210730183235', '20210909172000', '20210927181326', '20211122151130', '20211124214934',
        '20211202183645', '20220114185221', '20220114185340', '20220224000811', '20220323170000',
        '20220429102000', '20220531120530', '20220614074223', '20220811173540', '20221003041349',
        '20221003041400', '20221011041400', '20221020193600', '20221021073300', '20221021082433',
        '20221027105023', '20221114143122', '20221114143410', '20221125140132', '20221208132122',
        '20221215195500', '20221215195800', '20221215195900', '20230116124310', '20230116124412',
        '20230131181311', '20230322519590', '20230402418590', '20230411005111', '20230508135423',
        '20230523124323', '20230818113222', '20230914180801', '20231027141322', '20231114161723',
        '20231117164230', '20240115144230', '20240214120130', '20240306115329', '20240314092811',
        '20240427152123', '20240612123726', '20240729123726', '20240802193726', '20240806073726',
        '20241009103726', '20250717082212', '20250731150234', '20250804100000', '20250901200500',
        '20250903112500', '20250904133000', '20250925093508', '20251007112900', '20251104100000',
        '20251111201300', '20251201000000', '20260115000000', '20260121000000', '20260219120000',
        '20260302000000', '20260625000000']);
END
$rights$;

DO $done$
BEGIN
    EXECUTE format('SET LOCAL ROLE %I', current_setting('basalt.caller'));
END
$done$;
