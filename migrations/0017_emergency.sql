-- SPDX-License-Identifier: Apache-2.0
--
-- An emergency is the row `emergency` of basalt.setting: read-only or locked (guard/emergency.h).
-- Every node hears of a change and reads it; the payload says nothing, since anyone can NOTIFY.
CREATE TRIGGER basalt_emergency AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON basalt.setting
    FOR EACH STATEMENT EXECUTE FUNCTION basalt.cache_changed('e:');
