-- Views over `records` (schemas/projection.sql) for analysts.

CREATE VIEW actions AS
FROM records WHERE type = 'action' OR starts_with(type, 'action.');
