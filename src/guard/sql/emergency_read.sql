-- emergency_read() -> (mode text?)
select (select value from basalt.setting where name = 'emergency') as mode
