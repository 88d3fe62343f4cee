-- SPDX-License-Identifier: Apache-2.0
--
-- Jobs are looked up by kind: those that no node serves (mail while no mail server is set) wait at no
-- cost to the others. Only work that is due wakes the workers; a statement that adds none is silent.

CREATE INDEX job_kind_idx ON basalt.job (kind, run_at) WHERE dead_at IS NULL;
DROP INDEX basalt.job_run_at_idx;

DROP TRIGGER basalt_job_added ON basalt.job;
CREATE TRIGGER basalt_job_added AFTER INSERT ON basalt.job
    FOR EACH ROW WHEN (NEW.run_at <= now()) EXECUTE FUNCTION basalt.job_added();
